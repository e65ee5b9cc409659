"""Accounts from the shell: whoever may run commands on the home may say who signs in."""

from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from group.accounts import Account, Kind, add_account, count_accounts, list_accounts, reset_secret, set_disabled
from group.database import migrated
from group.entities import LEGAL_ENTITIES
from group.settings import Settings

FIRST_ACCOUNT = "administrator"


def add(
    settings: Settings,
    name: str,
    kind: Kind,
    roles: Sequence[str],
    companies: Sequence[str],
    *,
    by: str,
    requests_per_second: float | None = None,
) -> str:
    """Make an account and return its secret, which is shown this once.

    Raises:
        AccountError: it cannot be made so.
    """
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        at = datetime.now(UTC)
        return add_account(
            connection, name, kind, roles, companies, by=by, at=at, requests_per_second=requests_per_second
        )


def reset(settings: Settings, name: str, *, by: str) -> str:
    """A new secret for an account.

    Raises:
        AccountError: there is no such account.
    """
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        return reset_secret(connection, name, by=by, at=datetime.now(UTC))


def close_or_open(settings: Settings, name: str, *, disabled: bool, by: str) -> None:
    """Close an account or open it again.

    Raises:
        AccountError: there is no such account.
    """
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        set_disabled(connection, name, disabled=disabled, by=by, at=datetime.now(UTC))


def all_accounts(settings: Settings) -> list[Account]:
    """Every account by name."""
    with migrated(settings.state_url) as engine, engine.connect() as connection:
        return list_accounts(connection)


def first_password(settings: Settings) -> str | None:
    """Where nobody has an account yet, make the administrator's; its password is good for a day and one sign-in."""
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        if count_accounts(connection):
            return None
        at = datetime.now(UTC)
        return add_account(connection, FIRST_ACCOUNT, "person", [FIRST_ACCOUNT], [], by="the first start", at=at)


def program_secret(settings: Settings, name: str, roles: Sequence[str]) -> str:
    """The secret of a program of ours that acts for every company, its account made where it is not there."""
    if any(account.name == name for account in all_accounts(settings)):
        return reset(settings, name, by=name)
    return add(settings, name, "client", roles, list(LEGAL_ENTITIES), by=name)


def bearer(url: str, name: str, secret: str) -> dict[str, str]:
    """The header that a program shows once it has signed in at ``url``."""
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    reply = httpx.post(f"{url}/v1/token", data=form, timeout=30)
    reply.raise_for_status()
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}

"""Accounts of people and programs: their secrets as hashes alone, their roles, and the companies they act for."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from group.audit import GROUP, AuditEvent, append
from group.database import UtcDateTime, metadata
from group.entities import LEGAL_ENTITIES, legal_entity
from group.errors import InputError
from group.roles import role

Kind = Literal["person", "client"]

LEAST_PASSWORD_LENGTH: Final = 12
_MOST_PASSWORD_LENGTH: Final = 256
_MOST_FAILURES: Final = 5
_LOCKED_FOR: Final = timedelta(minutes=5)
_FIRST_PASSWORD_LASTS: Final = timedelta(hours=24)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("secret_hash", String(200), nullable=False),
    Column("roles", Text, nullable=False),
    Column("legal_entities", Text, nullable=False),
    Column("requests_per_second", Float),
    Column("must_change", Boolean, nullable=False),
    Column("secret_expires_at", UtcDateTime),
    Column("disabled", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
)


class AccountError(InputError):
    """An account that cannot be made or changed so."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person (signs in with a password) or a client (a program with a secret)."""

    name: str
    kind: Kind
    roles: tuple[str, ...]
    legal_entities: tuple[str, ...]
    requests_per_second: float | None
    must_change: bool
    disabled: bool

    @property
    def scopes(self) -> frozenset[str]:
        """What its roles allow."""
        return frozenset().union(*(role(name).scopes for name in self.roles))


def add_account(
    connection: Connection,
    name: str,
    kind: Kind,
    roles: Sequence[str],
    companies: Sequence[str],
    *,
    by: str,
    at: datetime,
    requests_per_second: float | None = None,
) -> str:
    """Make an account, on record, and return its secret, which is shown this once.

    A person has to change it at the first sign-in, within a day. A role of the whole group acts for every company.

    Raises:
        AccountError: the name is taken or no name, or there is no role or no company.
        UnknownRole, UnknownLegalEntity: a name that nothing has.
    """
    if not name or len(name) > 80 or not all(letter.isalnum() or letter in "._@-" for letter in name):
        raise AccountError(f"'{name}' is no account's name: up to 80 letters, digits and . _ @ -.")
    if connection.execute(select(accounts.c.name).where(accounts.c.name == name)).first():
        raise AccountError(f"There is an account '{name}' already; `jinkong access reset {name}` gives a new secret.")
    if not roles:
        raise AccountError(f"'{name}' needs a role.")
    acts_for = _companies(name, roles, companies)
    secret = secrets.token_urlsafe(24)
    row = {
        "name": name, "kind": kind, "secret_hash": _hasher().hash(secret), "roles": json.dumps(list(roles)),
        "legal_entities": json.dumps(acts_for), "requests_per_second": requests_per_second,
        "must_change": kind == "person", "secret_expires_at": at + _FIRST_PASSWORD_LASTS if kind == "person" else None,
        "disabled": False, "failures": 0, "locked_until": None, "created_at": at,
    }  # fmt: skip
    connection.execute(insert(accounts), row)
    payload = {"kind": kind, "roles": list(roles), "legal_entities": acts_for}
    append(connection, AuditEvent(GROUP, by, "account.added", name, payload), at)
    return secret


def reset_secret(connection: Connection, name: str, *, by: str, at: datetime) -> str:
    """A new secret for an account whose own was lost, on record; the old one opens nothing any more.

    Raises:
        AccountError: there is no such account.
    """
    found = _row(connection, name)
    secret = secrets.token_urlsafe(24)
    person = found.kind == "person"
    _change(
        connection, name, secret_hash=_hasher().hash(secret), must_change=person, failures=0, locked_until=None,
        secret_expires_at=at + _FIRST_PASSWORD_LASTS if person else None,
    )  # fmt: skip
    append(connection, AuditEvent(GROUP, by, "account.reset", name, {}), at)
    return secret


def set_disabled(connection: Connection, name: str, *, disabled: bool, by: str, at: datetime) -> None:
    """Close an account, or open it again, on record. Tokens that it holds run out by themselves, within minutes.

    Raises:
        AccountError: there is no such account.
    """
    _row(connection, name)
    _change(connection, name, disabled=disabled)
    append(connection, AuditEvent(GROUP, by, "account.disabled" if disabled else "account.enabled", name, {}), at)


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts by name."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.name))]


def count_accounts(connection: Connection) -> int:
    """How many there are."""
    return int(connection.execute(select(func.count()).select_from(accounts)).scalar_one())


def signed_in(connection: Connection, name: str, secret: str, kind: Kind, at: datetime) -> Account | None:
    """The account that name and secret open; None where they do not.

    Five wrong secrets in a row close it for five minutes, right ones included: an attacker learns nothing by trying.
    The caller commits what is returned either way, so that failures are counted.
    """
    row = connection.execute(select(accounts).where(accounts.c.name == name, accounts.c.kind == kind)).one_or_none()
    right = _verified(row.secret_hash if row is not None else _nobodys_hash(), secret)
    if row is None:
        return None
    if row.locked_until is not None and row.locked_until > at:
        return None
    if not right:
        failures = row.failures + 1
        locked = at + _LOCKED_FOR if failures >= _MOST_FAILURES else None
        _change(connection, name, failures=0 if locked else failures, locked_until=locked)
        return None
    if row.disabled or (row.secret_expires_at is not None and row.secret_expires_at <= at):
        return None
    if row.failures or row.locked_until is not None:
        _change(connection, name, failures=0, locked_until=None)
    return _account(row)


def change_password(connection: Connection, name: str, new: str, at: datetime) -> None:
    """Give a signed-in person the password of their choice, on record.

    Raises:
        AccountError: the password is too short, too long, or has the account's name in it.
    """
    if not LEAST_PASSWORD_LENGTH <= len(new) <= _MOST_PASSWORD_LENGTH or name.lower() in new.lower():
        raise AccountError(
            f"A password has {LEAST_PASSWORD_LENGTH} to {_MOST_PASSWORD_LENGTH} characters, and not the account's name."
        )
    _change(connection, name, secret_hash=_hasher().hash(new), must_change=False, secret_expires_at=None)
    append(connection, AuditEvent(GROUP, name, "account.password_changed", name, {}), at)


def _companies(name: str, roles: Sequence[str], companies: Sequence[str]) -> list[str]:
    if any(role(one).group_wide for one in roles):
        return list(LEGAL_ENTITIES)
    chosen = [legal_entity(code).code for code in dict.fromkeys(companies)]
    if not chosen and any(one != "administrator" for one in roles):
        raise AccountError(f"'{name}' needs a company to act for; the companies are {', '.join(LEGAL_ENTITIES)}.")
    return chosen


def _row(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    if row is None:
        raise AccountError(f"There is no account '{name}'; `jinkong access list` shows those there are.")
    return row


def _change(connection: Connection, name: str, **values: object) -> None:
    connection.execute(update(accounts).where(accounts.c.name == name).values(**values))


def _account(row: Row[Any]) -> Account:
    return Account(
        row.name, row.kind, tuple(json.loads(row.roles)), tuple(json.loads(row.legal_entities)),
        row.requests_per_second, row.must_change, row.disabled,
    )  # fmt: skip


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    # Whoever is not there takes as long to refuse as whoever is.
    return _hasher().hash(secrets.token_urlsafe(24))


def _verified(secret_hash: str, secret: str) -> bool:
    try:
        return _hasher().verify(secret_hash, secret)
    except (VerificationError, InvalidHashError):
        return False

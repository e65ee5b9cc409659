"""Accounts: secrets as hashes, first passwords that have to be changed, and nothing for whoever guesses."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from group.accounts import (
    AccountError,
    accounts,
    add_account,
    change_password,
    list_accounts,
    reset_secret,
    set_disabled,
    signed_in,
)
from group.audit import GROUP, audit_log, verify
from group.entities import LEGAL_ENTITIES, UnknownLegalEntity
from group.roles import ROLES, SCOPES, UnknownRole

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def a_client(engine: Engine, name: str = "flow", roles: tuple[str, ...] = ("credit_officer",)) -> str:
    with engine.begin() as connection:
        return add_account(connection, name, "client", roles, ["consumer"], by="Li", at=NOW)


def opens(engine: Engine, name: str, secret: str, kind: str = "client", at: datetime = LATER) -> bool:
    with engine.begin() as connection:
        return signed_in(connection, name, secret, kind, at) is not None  # type: ignore[arg-type]


def test_a_client_signs_in_with_its_secret_of_which_only_a_hash_is_kept(engine: Engine) -> None:
    secret = a_client(engine)
    assert opens(engine, "flow", secret)
    assert not opens(engine, "flow", secret + "x")
    assert not opens(engine, "flow", "")
    assert not opens(engine, "wolf", secret)
    assert not opens(engine, "flow", secret, kind="person")
    with engine.connect() as connection:
        kept = connection.execute(select(accounts.c.secret_hash)).scalar_one()
        logged = (
            connection.execute(select(audit_log.c.payload).where(audit_log.c.legal_entity == GROUP)).scalars().all()
        )
    assert secret not in kept
    assert kept.startswith("$argon2id$")
    assert secret not in "".join(logged)


def test_five_wrong_secrets_lock_the_account_for_minutes_whatever_comes_next(engine: Engine) -> None:
    secret = a_client(engine)
    for _ in range(4):
        assert not opens(engine, "flow", "wrong")
    assert opens(engine, "flow", secret)
    for _ in range(5):
        assert not opens(engine, "flow", "wrong")
    assert not opens(engine, "flow", secret)
    assert not opens(engine, "flow", secret, at=LATER + timedelta(minutes=4))
    assert opens(engine, "flow", secret, at=LATER + timedelta(minutes=6))


def test_a_persons_first_password_is_good_for_a_day_and_has_to_be_changed(engine: Engine) -> None:
    with engine.begin() as connection:
        first = add_account(connection, "li.wei", "person", ["approver"], ["credit"], by="admin", at=NOW)
        account = signed_in(connection, "li.wei", first, "person", LATER)
        assert account is not None
        assert account.must_change
    assert not opens(engine, "li.wei", first, "person", NOW + timedelta(hours=25))
    for unusable in ("short", "Li.Wei-is-my-name", "x" * 300):
        with pytest.raises(AccountError, match="12 to 256 characters"), engine.begin() as connection:
            change_password(connection, "li.wei", unusable, LATER)
    with engine.begin() as connection:
        change_password(connection, "li.wei", "a long enough one", LATER)
        changed = signed_in(connection, "li.wei", "a long enough one", "person", NOW + timedelta(days=400))
    assert changed is not None
    assert not changed.must_change
    assert not opens(engine, "li.wei", first, "person")


def test_a_reset_secret_closes_the_old_one_and_a_closed_account_opens_for_nobody(engine: Engine) -> None:
    old = a_client(engine)
    with engine.begin() as connection:
        new = reset_secret(connection, "flow", by="Li", at=NOW)
    assert (opens(engine, "flow", old), opens(engine, "flow", new)) == (False, True)
    with engine.begin() as connection:
        set_disabled(connection, "flow", disabled=True, by="Li", at=NOW)
    assert not opens(engine, "flow", new)
    with engine.begin() as connection:
        set_disabled(connection, "flow", disabled=False, by="Li", at=NOW)
        actions = connection.execute(select(audit_log.c.action).order_by(audit_log.c.sequence)).scalars().all()
    assert opens(engine, "flow", new)
    assert actions == ["account.added", "account.reset", "account.disabled", "account.enabled"]
    assert verify(engine) is None


@pytest.mark.parametrize(
    ("name", "roles", "companies", "says"),
    [
        ("flow", ["partner"], ["credit"], "There is an account 'flow' already"),
        ("", ["partner"], ["credit"], "is no account's name"),
        ("a b", ["partner"], ["credit"], "is no account's name"),
        ("x" * 81, ["partner"], ["credit"], "is no account's name"),
        ("other", [], ["credit"], "needs a role"),
        ("other", ["partner"], [], "needs a company to act for"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused(
    engine: Engine, name: str, roles: list[str], companies: list[str], says: str
) -> None:
    a_client(engine)
    with pytest.raises(AccountError, match=says), engine.begin() as connection:
        add_account(connection, name, "client", roles, companies, by="Li", at=NOW)


def test_names_that_nothing_has_are_told_with_those_that_there_are(engine: Engine) -> None:
    with pytest.raises(UnknownRole, match="data_scientist, marketer"), engine.begin() as connection:
        add_account(connection, "a", "client", ["king"], ["credit"], by="Li", at=NOW)
    with pytest.raises(UnknownLegalEntity), engine.begin() as connection:
        add_account(connection, "a", "client", ["partner"], ["bank"], by="Li", at=NOW)
    with pytest.raises(AccountError, match="There is no account 'a'"), engine.begin() as connection:
        reset_secret(connection, "a", by="Li", at=NOW)


def test_a_role_of_the_whole_group_acts_for_every_company_and_an_administrator_for_none(engine: Engine) -> None:
    with engine.begin() as connection:
        add_account(connection, "committee", "client", ["risk_committee"], [], by="Li", at=NOW)
        add_account(connection, "operator", "client", ["administrator"], [], by="Li", at=NOW)
        found = {account.name: account for account in list_accounts(connection)}
    assert set(found["committee"].legal_entities) == set(LEGAL_ENTITIES)
    assert found["operator"].legal_entities == ()


def test_every_scope_of_a_role_is_a_scope_and_every_scope_has_a_role() -> None:
    assert set().union(*(role.scopes for role in ROLES.values())) == set(SCOPES)

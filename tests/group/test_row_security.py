"""PostgreSQL shows rows of a company to those alone who act for it, whatever the query asks for."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import psycopg
import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from group.audit import AuditEvent, append, audit_log, verify
from group.database import migrate, open_database, reading

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def owned_url(postgresql_server: str) -> Iterator[str]:
    """A database of an ordinary user's own, as an operator makes it: superusers are held to no policy."""
    name = f"own_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"CREATE ROLE {name} LOGIN")
        server.execute(f"CREATE DATABASE {name} OWNER {name}")
    yield postgresql_server.replace("postgresql://postgres", f"postgresql+psycopg://{name}").replace(
        "/postgres?", f"/{name}?"
    )
    with psycopg.connect(postgresql_server, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.execute(f"DROP ROLE {name}")


@pytest.fixture
def engine(owned_url: str) -> Iterator[Engine]:
    made = open_database(owned_url)
    migrate(made)
    with made.begin() as connection:
        for company in ("credit", "leasing", "group"):
            append(connection, AuditEvent(company, "Li", "score.given", f"of {company}", {}), NOW)
    yield made
    made.dispose()


def test_a_scoped_reading_sees_its_companies_alone(engine: Engine) -> None:
    for scope, seen in (
        (["credit"], ["credit"]),
        (["credit", "leasing"], ["credit", "leasing"]),
        (["consumer"], []),
        ([], []),
        (None, ["credit", "group", "leasing"]),
    ):
        with reading(engine, scope) as connection:
            found = connection.execute(select(audit_log.c.legal_entity)).scalars().all()
        assert sorted(found) == seen
    # The scope ends with its transaction: the pool hands the connection on.
    assert verify(engine) is None


def test_who_does_not_say_for_whom_they_act_sees_nothing_and_nobody_writes_for_others(
    engine: Engine, owned_url: str
) -> None:
    with psycopg.connect(owned_url.replace("postgresql+psycopg", "postgresql")) as plain:
        assert plain.execute("SELECT count(*) FROM audit_log").fetchone() == (0,)
    row = {
        "legal_entity": "leasing", "sequence": 9, "recorded_at": NOW, "actor": "a", "action": "b", "subject": "c",
        "payload": "{}", "previous_hash": "0" * 64, "record_hash": "0" * 64,
    }  # fmt: skip
    with pytest.raises(DBAPIError, match="row-level security"), engine.begin() as connection:  # noqa: PT012
        connection.execute(text("SELECT set_config('jinkong.legal_entities', 'credit', true)"))
        connection.execute(insert(audit_log), row)


ONLY_COUNTED: Final = {"audit_head", "shadow_progress"}
"""What is kept of a company there is how long its chain is, and its hash."""


def test_every_table_that_names_a_company_is_held_to_a_policy(engine: Engine) -> None:
    named = text("SELECT table_name FROM information_schema.columns WHERE column_name = 'legal_entity'")
    held = text(
        "SELECT tablename FROM pg_policies JOIN pg_class ON relname = tablename "
        "WHERE relrowsecurity AND relforcerowsecurity"
    )
    with engine.connect() as connection:
        tables = set(connection.execute(named).scalars()) - ONLY_COUNTED
        assert tables == set(connection.execute(held).scalars())

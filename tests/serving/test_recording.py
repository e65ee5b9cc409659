"""What is put on record, and by which connection."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from group.audit import AuditEvent, find, verify
from group.database import DatabaseUnavailable, migrated, open_database, reading
from serving.gathering import WouldWait
from serving.recording import StandingConnection, put_on_record

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def test_a_standing_connection_outlives_what_goes_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    with migrated(url) as others:
        engine = open_database(url, wait_seconds=0.01)
        standing = StandingConnection(engine)

        def written(subject: str, fails: type[Exception] | None = None) -> None:
            def beside(_connection: Connection) -> None:
                if fails is not None:
                    raise fails

            event = AuditEvent("credit", "a test", "test.done", subject, {"n": 1})
            put_on_record(standing, [event], NOW, beside, quickly=True)

        written("first")
        with others.begin(), pytest.raises(WouldWait):
            written("while another writes")
        written("second")
        with pytest.raises(ZeroDivisionError):
            written("undone", ZeroDivisionError)
        written("third")
        standing.close()
        written("after it was closed")
        standing.close()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        with reading(others) as connection:
            told = [
                subject
                for subject in ("first", "while another writes", "second", "undone", "third", "after it was closed")
                if find(connection, "credit", subject)
            ]
        assert told == ["first", "second", "third", "after it was closed"]
        assert verify(others) is None
        engine.dispose()


def test_a_database_that_is_gone_is_told(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/without_tables.db")
    event = AuditEvent("credit", "a test", "test.done", "lost", {"n": 1})
    for where in (engine, StandingConnection(engine)):
        with pytest.raises(DatabaseUnavailable):
            put_on_record(where, [event], NOW, lambda _connection: None)
    engine.dispose()

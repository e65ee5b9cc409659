"""The database: the same migrations and the same instants on SQLite and PostgreSQL."""

import multiprocessing
import sqlite3
import time
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, Table, insert, inspect, select

from features.identity import rulings
from group import accounts, audit, database
from group.database import (
    Checkpoints,
    DatabaseUnavailable,
    UtcDateTime,
    _alembic,
    metadata,
    migrate,
    newest_revision,
    open_database,
    require_current,
)
from reporting.monitoring import cases, messages
from reporting.monitoring import kept as monitored
from serving import once, party_scores, score_history, shadow, unsettled
from serving.jobs import kept as jobs
from training.whitelist import do_not_contact, kept
from workflow.pre_credit import offers, releases


def test_migrations_make_the_tables_that_the_code_declares(database_url: str) -> None:
    # All rooms that declare tables.
    assert {
        table.metadata
        for table in (
            audit.audit_log,
            accounts.accounts,
            rulings.identity_rulings,
            kept.whitelists,
            do_not_contact.do_not_contact,
            once.carried_out,
            party_scores.scores,
            unsettled.unsettled_scores,
            jobs.score_jobs,
            monitored.monitor_periods,
            cases.monitor_cases,
            messages.monitor_messages,
            shadow.shadow_scores,
            offers.precredit_offers,
            releases.precredit_policies,
        )
    } == {metadata}
    engine = open_database(database_url)
    migrate(engine)
    require_current(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_alembic_ends_at() -> None:
    assert newest_revision() == ScriptDirectory.from_config(_alembic()).get_current_head()


def test_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    migrate(engine)
    with engine.begin() as connection:
        configuration = _alembic()
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(engine)
    require_current(engine)
    engine.dispose()


def _migrate_together(url: str, together: Barrier) -> None:
    engine = open_database(url)
    together.wait()
    migrate(engine)
    engine.dispose()


def test_processes_that_begin_together_migrate_once(database_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(4)
    processes = [spawn.Process(target=_migrate_together, args=(database_url, together)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    engine = open_database(database_url)
    require_current(engine)
    engine.dispose()


def test_scores_outlast_their_new_layout(database_url: str) -> None:
    engine = open_database(database_url)
    migrate(engine)
    configuration = _alembic()
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        command.downgrade(configuration, "0008")
    at = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    kept = [
        party_scores.PartyScore("credit", f"P{number}", "a decision", at, "credit_pd", "1", 0.25, 640 + number, "R3")
        for number in range(3)
    ]
    with engine.begin() as connection:
        party_scores.keep_scores(connection, kept)
    migrate(engine)
    with engine.connect() as connection:
        read = [score_history.scores_of_party(connection, f"P{number}", ["credit"], 5) for number in range(3)]
    assert read == [[one] for one in kept]
    engine.dispose()


def test_a_database_without_this_versions_tables_says_what_to_do(database_url: str) -> None:
    engine = open_database(database_url)
    with pytest.raises(
        DatabaseUnavailable, match=r"is at migration none, this version needs [0-9]{4}; run `jinkong doctor"
    ):
        require_current(engine)
    engine.dispose()


def test_an_instant_comes_back_as_it_was_to_the_microsecond(database_url: str) -> None:
    engine = open_database(database_url)
    table = Table("instants", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime))
    table.create(engine)
    shanghai = timezone(timedelta(hours=8))
    instant = datetime(2026, 2, 28, 7, 59, 59, 999_999, shanghai)
    with engine.begin() as connection:
        connection.execute(insert(table).values(id=1, at=instant))
        read = connection.execute(select(table.c.at)).scalar_one()
    assert read == instant
    assert read.tzinfo is UTC
    with pytest.raises(Exception, match="no time zone"), engine.begin() as connection:
        connection.execute(insert(table).values(id=2, at=datetime(2026, 1, 1)))  # noqa: DTZ001
    engine.dispose()


def test_sqlite_writes_ahead_and_waits_for_the_disk(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a folder that is not there yet' / 'state.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is a letter, not a database" * 200)
    engine = open_database(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable, match="file is not a database"):
        migrate(engine)
    engine.dispose()


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    engine = open_database("postgresql+psycopg://jinkong:hunter2@127.0.0.1:1/jinkong")
    for attempt in (migrate, require_current):
        with pytest.raises(DatabaseUnavailable) as refused:
            attempt(engine)
        assert "127.0.0.1:1" in str(refused.value)
        assert "hunter2" not in str(refused.value)


def test_a_disk_that_is_full_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    event = audit.AuditEvent("credit", "test", "tested", "a subject", {"text": "x" * 200_000})
    with engine.begin() as connection:
        audit.append(connection, event, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(Exception, match="full"), engine.begin() as connection:  # noqa: PT012 - one transaction
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        audit.append(connection, event, datetime(2026, 1, 2, tzinfo=UTC))
    assert audit.verify(engine) is None
    engine.dispose()
    with sqlite3.connect(path) as direct:
        assert direct.execute("SELECT count(*) FROM audit_log").fetchone() == (1,)


def test_checkpoints_move_what_was_written_ahead_though_a_connection_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_CHECKPOINT_SECONDS", 0.05)
    monkeypatch.setattr(database, "_MOST_AHEAD", 100)
    path = tmp_path / "state.db"
    engine = open_database(f"sqlite:///{path}", leave_checkpoints=True)
    migrate(engine)
    checkpoints = Checkpoints(engine)
    event = audit.AuditEvent("credit", "test", "tested", "a subject", {"text": "x" * 20_000})
    sizes = []
    with engine.connect():
        for _ in range(8):
            before = path.stat().st_size
            for second in range(100):
                with engine.begin() as connection:
                    audit.append(connection, event, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second))
            deadline = time.monotonic() + 30
            while path.stat().st_size < before + 2_000_000:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            sizes.append(Path(f"{path}-wal").stat().st_size)
    # What is ahead is written over what was moved: the file does not grow with what goes through it, eight times the
    # first round's. How far it grows at all is chance: a writer may add to it while the rest is moved.
    assert sizes[-1] < 3 * sizes[0]
    checkpoints.close()
    assert audit.verify(engine) is None
    engine.dispose()


def test_what_was_written_ahead_is_moved_right_after_a_commit_that_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_CHECKPOINT_SECONDS", 3_600.0)
    path = tmp_path / "state.db"
    engine = open_database(f"sqlite:///{path}", leave_checkpoints=True)
    migrate(engine)
    checkpoints = Checkpoints(engine)
    event = audit.AuditEvent("credit", "test", "tested", "a subject", {"text": "x" * 500_000})
    with engine.connect():
        for _ in range(3):
            before = path.stat().st_size
            with engine.begin() as connection:
                audit.append(connection, event, datetime(2026, 1, 1, tzinfo=UTC))
            # One that comes right after another is left for later: somebody commits again.
            deadline = time.monotonic() + 30
            while path.stat().st_size < before + 400_000:
                checkpoints.after_commit()
                assert time.monotonic() < deadline
                time.sleep(0.005)
    checkpoints.close()
    assert audit.verify(engine) is None
    engine.dispose()

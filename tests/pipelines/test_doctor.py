"""The doctor: finds what is wrong, says what to do, and repeats no password."""

import io
from pathlib import Path

from rich.console import Console

from group.settings import Settings, documented_settings, load_settings
from pipelines.doctor import examine, tell_settings
from tests.conftest import free_port


def told(settings: Settings, *, migrate_first: bool = False) -> tuple[bool, str]:
    text = io.StringIO()
    well = examine(settings, Console(width=300, file=text), migrate_first=migrate_first)
    return well, text.getvalue()


def test_a_fresh_home_is_well_and_told_what_comes_first(settings: Settings) -> None:
    well, text = told(settings.model_copy(update={"port": free_port()}))
    assert well
    for command in ("jinkong data", "jinkong features", "jinkong train"):
        assert command in text


def test_a_trained_home_is_well(trained_settings: Settings) -> None:
    well, text = told(trained_settings.model_copy(update={"port": free_port()}))
    assert well
    assert "champion is version" in text
    assert "every record follows the one before it" in text


def test_everything_that_is_away_is_named_with_what_to_do_and_without_passwords(tmp_path: Path) -> None:
    settings = load_settings(
        {
            "JINKONG_HOME": str(tmp_path),
            "JINKONG_DATABASE_URL": "postgresql+psycopg://me:hunter2@127.0.0.1:1/state",
            "JINKONG_ONLINE_STORE_URL": "redis://:hunter2@127.0.0.1:1/0",
            "JINKONG_MLFLOW_TRACKING_URI": "http://me:hunter2@127.0.0.1:1",
            "JINKONG_RAY_ADDRESS": "127.0.0.1:1",
            "JINKONG_PORT": str(free_port()),
        }
    )
    well, text = told(settings)
    assert not well
    assert "hunter2" not in text
    for setting in ("DATABASE_URL", "ONLINE_STORE_URL", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        assert f"check JINKONG_{setting}" in text


def test_real_servers_are_found_well_and_the_database_is_migrated_on_demand(
    postgresql_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = load_settings(
        {
            "JINKONG_HOME": str(tmp_path),
            "JINKONG_DATABASE_URL": postgresql_url.replace("postgresql://", "postgresql+psycopg://"),
            "JINKONG_ONLINE_STORE_URL": redis_url,
            "JINKONG_PORT": str(free_port()),
        }
    )
    well, text = told(settings)
    assert not well
    assert "run `jinkong doctor --migrate`" in text
    well, _ = told(settings, migrate_first=True)
    assert well


def test_a_port_that_another_program_holds_is_found(settings: Settings) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.settimeout(0.1)
        well, text = told(settings.model_copy(update={"port": other.getsockname()[1]}))
    assert not well
    assert "set JINKONG_PORT" in text


def test_an_audit_log_that_was_tampered_with_is_ill(settings: Settings) -> None:
    from datetime import UTC, datetime

    from group.audit import AuditEvent, append
    from group.database import migrate, open_database

    engine = open_database(settings.state_url)
    migrate(engine)
    with engine.begin() as connection:
        append(connection, AuditEvent("credit", "a", "b", "c", {}), datetime(2026, 1, 1, tzinfo=UTC))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_log_no_update")
        connection.exec_driver_sql("UPDATE audit_log SET actor = 'somebody else'")
    engine.dispose()
    well, text = told(settings.model_copy(update={"port": free_port()}))
    assert not well
    assert "The audit log of 'credit' is broken at record 1: the record was altered." in text


def test_every_setting_is_listed_with_what_is_allowed() -> None:
    text = io.StringIO()
    tell_settings(Console(width=400, file=text))
    for variable, _, description in documented_settings():
        assert variable in text.getvalue()
        assert description in text.getvalue()

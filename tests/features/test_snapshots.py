"""Instants of features."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ContractBroken
from features.snapshots import month_start_after, plus_months, snapshot_instants
from tests.features.tables import a_statement, write


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)), st.integers(-200, 200))  # noqa: DTZ001
def test_months_add_up(instant: datetime, months: int) -> None:
    start = month_start_after(instant)
    assert start > instant
    assert (start.day, start.hour) == (1, 0)
    moved = plus_months(start, months)
    assert plus_months(moved, -months) == start
    assert (moved.year - start.year) * 12 + moved.month - start.month == months


def test_snapshots_run_from_the_warm_up_to_the_month_after_the_last_statement(tmp_path: Path) -> None:
    write(tmp_path, "statements", [a_statement(datetime(2025, month, 26, tzinfo=UTC)) for month in range(1, 11)])
    instants = snapshot_instants(tmp_path)
    assert instants[-1] == datetime(2025, 11, 1, tzinfo=UTC)
    assert instants[0] == datetime(2025, 7, 1, tzinfo=UTC)
    assert len(instants) == 5


def test_without_statements_there_is_nothing_to_compute(tmp_path: Path) -> None:
    write(tmp_path, "statements", [])
    with pytest.raises(ContractBroken, match="have no rows"):
        snapshot_instants(tmp_path)

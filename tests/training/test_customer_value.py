"""Customer value: what is paid in the year after, and no year of training that reaches into the test's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from features import open_store, plus_months, read_manifest, snapshot_instants
from group.settings import Settings
from pipelines.workspace import Workspace
from training.errors import TooFewPayments
from training.marketing import ValueFrame, value_frame


def frame_of(settings: Settings, observed_until: datetime) -> ValueFrame:
    workspace = Workspace.of(settings)
    instants = snapshot_instants(workspace.canonical)
    return value_frame(open_store(settings), workspace.canonical, instants, observed_until)


@pytest.mark.long
def test_no_year_of_training_reaches_into_that_of_the_test(small_group_settings: Settings) -> None:
    until = read_manifest(Workspace.of(small_group_settings).data).observed_until
    rows = frame_of(small_group_settings, until).rows
    tested = rows.filter("test")["event_timestamp"].unique().to_list()
    trained = rows.filter(~rows["test"])["event_timestamp"].unique().to_list()
    assert tested == [plus_months(until, -12)]
    assert max(plus_months(instant, 12) for instant in trained) <= tested[0]


@pytest.mark.long
def test_a_short_history_is_divided_by_party(small_group_settings: Settings) -> None:
    # A year and a half after the first instant: every year before the last one overlaps it.
    rows = frame_of(small_group_settings, datetime(2024, 1, 1, tzinfo=UTC)).rows
    assert rows["event_timestamp"].n_unique() == 1
    tested, trained = (set(rows.filter(rows["test"] == side)["party_id"]) for side in (True, False))
    assert tested
    assert not tested & trained


def test_without_repayments_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(TooFewPayments, match="There are no repayments"):
        value_frame(None, tmp_path, [], datetime(2026, 1, 1, tzinfo=UTC))

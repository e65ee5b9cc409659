"""Alarms: what raises them, what keeps them, what ends them; and that chance raises few."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting.monitoring.alarms import Alarm, JudgedPeriod, alarms_of
from reporting.monitoring.counts import EVERYTHING, Segment, Sizes
from reporting.monitoring.drift import ColumnDrift, ColumnShape, DataDrift
from reporting.monitoring.findings import Finding, Level, beyond_chance, findings_of
from reporting.monitoring.thresholds import Thresholds, WrongThresholds, read_thresholds

_FIRST = date(2026, 1, 5)


@pytest.fixture
def thresholds() -> Thresholds:
    return read_thresholds()


def _finding(level: Level | None, subject: str = "income") -> Finding:
    return Finding("feature_drift", subject, "all", "stability_index", 0.3, 0.1, level, "en", "zh")


def _week(number: int, *findings: Finding, judged: bool = True) -> JudgedPeriod:
    return JudgedPeriod(_FIRST + timedelta(weeks=number), judged, findings)


def _drift(column: str, segment: Segment = EVERYTHING, **changed: object) -> ColumnDrift:
    values: dict[str, object] = {
        "column": column, "segment": segment, "rows": 2_000, "parties": 2_000, "reference_rows": 9_000,
        "reference_parties": 9_000, "stability_index": 0.01, "excess": 0.0, "jensen_shannon": 0.01, "p_value": 0.5,
        "missing_share": 0.0, "reference_missing_share": 0.0,
        "outside_share": 0.0, "far_share": 0.0, "unseen_share": 0.0,
    }  # fmt: skip
    return ColumnDrift(**(values | changed))  # type: ignore[arg-type]


def _period(*drifts: ColumnDrift, not_logged: tuple[str, ...] = (), **shapes: ColumnShape) -> DataDrift:
    named = {one.column: ColumnShape(one.column) for one in drifts} | {shape.column: shape for shape in shapes.values()}
    return DataDrift({EVERYTHING: Sizes(2_000, 2_000)}, drifts, named, not_logged)


def test_an_alarm_lasts_while_it_lingers_and_ends_after_two_quiet_periods() -> None:
    beyond, lingering = _finding("watch"), _finding(None)
    periods = [_week(0), _week(1, beyond), _week(2, lingering), _week(3), _week(4, lingering), _week(5), _week(6)]
    [alarm] = alarms_of(periods, clear_periods=2)
    assert (alarm.begins, alarm.last, alarm.ended) == (periods[1].begins, periods[1].begins, periods[6].begins)
    [still] = alarms_of(periods[:-1], clear_periods=2)
    assert still.is_open


def test_what_only_lingers_raises_no_alarm_and_another_feature_keeps_none_open() -> None:
    assert alarms_of([_week(number, _finding(None)) for number in range(5)], 2) == []
    [alarm] = alarms_of([_week(0, _finding("act")), *(_week(n, _finding(None, "age")) for n in (1, 2))], 2)
    assert alarm.ended == _week(2).begins


def test_periods_with_too_few_rows_end_no_alarm() -> None:
    [alarm] = alarms_of([_week(0, _finding("act")), *(_week(number, judged=False) for number in range(1, 9))], 2)
    assert alarm.is_open


@given(levels=st.lists(st.sampled_from(["act", "watch", None, "none"]), max_size=12), data=st.data())
def test_alarms_do_not_depend_on_the_order_in_which_periods_came(levels: list[str], data: st.DataObject) -> None:
    periods = [
        _week(number) if level == "none" else _week(number, _finding(level))  # type: ignore[arg-type]
        for number, level in enumerate(levels)
    ]
    shuffled = data.draw(st.permutations(periods))
    found = alarms_of(periods, 2)
    assert alarms_of(shuffled, 2) == found
    for alarm in found:
        assert alarm.begins <= alarm.last
        assert alarm.ended is None or alarm.ended > alarm.last
    # One after the other, and each beyond its threshold belongs to one.
    for earlier, later in pairwise(found):
        assert earlier.ended is not None
        assert earlier.ended < later.begins
    for period, level in zip(periods, levels, strict=True):
        if level in ("act", "watch"):
            assert any(_covers(alarm, period.begins) for alarm in found)


def _covers(alarm: Alarm, day: date) -> bool:
    return alarm.begins <= day and (alarm.ended is None or day < alarm.ended)


def test_the_strongest_feature_is_named_first_and_the_segment_that_explains_it(thresholds: Thresholds) -> None:
    credit = Segment("legal_entity", "credit")
    found = findings_of(
        _period(
            _drift("feature:age", excess=0.15, stability_index=0.16, p_value=1e-9),
            _drift("feature:age", credit, excess=0.17, stability_index=0.18, p_value=1e-9),
            _drift("feature:income", excess=0.08, stability_index=0.09, p_value=1e-9),
            _drift("feature:income", credit, excess=0.4, stability_index=0.41, p_value=1e-9),
            _drift("probability", excess=0.02, p_value=1e-9),
        ),
        thresholds,
    )
    assert [(one.subject, one.segment, one.level) for one in found] == [
        ("income", "legal_entity=credit", "act"),
        ("age", "all", "watch"),
    ]


def test_a_large_index_that_chance_explains_or_a_sure_one_that_is_small_is_no_finding(thresholds: Thresholds) -> None:
    assert findings_of(_period(_drift("feature:a", excess=0.5, p_value=0.02)), thresholds) == []
    assert findings_of(_period(_drift("feature:a", excess=0.05, p_value=1e-12)), thresholds) == []
    few = _drift("feature:a", excess=0.5, p_value=1e-12, parties=199)
    assert findings_of(_period(few), thresholds) == []


def test_broken_features_come_first_and_are_told_as_what_they_are(thresholds: Thresholds) -> None:
    found = findings_of(
        _period(
            _drift("feature:a", excess=9.0, p_value=0.0, far_share=0.9),
            _drift("feature:b", excess=1.0, p_value=0.0, missing_share=0.5, reference_missing_share=0.1),
            _drift("feature:c", excess=0.0, unseen_share=0.05),
            _drift("feature:d", excess=2.0, p_value=0.0),
            not_logged=("feature:e",),
            a=ColumnShape("feature:a", scaled_by=100.0),
            c=ColumnShape("feature:c", unseen=("厨师",)),
            d=ColumnShape("feature:d", constant=True),
        ),
        thresholds,
    )
    assert [(one.subject, one.measure) for one in found] == [
        ("a", "scaled_by"), ("d", "constant"), ("e", "not_logged"), ("b", "missing_share"), ("c", "unseen_share"),
    ]  # fmt: skip
    assert "100 times" in found[0].en
    [alarm] = alarms_of([_week(0, *found)], 2)
    assert (alarm.suggestion, alarm.level) == ("roll_back", "act")


def test_what_to_do_follows_from_whether_the_answers_moved_too() -> None:
    moved = _finding("act")
    answers = Finding("prediction_drift", "probability", "all", "stability_index", 0.3, 0.1, "act", "en", "zh")
    assert [alarm.suggestion for alarm in alarms_of([_week(0, moved)], 2)] == ["watch"]
    assert {alarm.suggestion for alarm in alarms_of([_week(0, moved, answers)], 2)} == {"retrain"}


def test_holm_refuses_the_first_that_is_too_likely_and_all_after_it() -> None:
    values = [0.001, 0.2, 0.004, 0.03]
    assert beyond_chance([_drift(str(n), p_value=p) for n, p in enumerate(values)], 0.05) == [True, False, True, False]
    assert beyond_chance([], 0.05) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("least_parties: many", "least_parties"),
        ("drift: {watch: 0.3, act: 0.2, clear: 0.1, clear_periods: 2}", "must not fall in this order"),
        ("least_partys: 3", "least_partys"),
        ("- 1", "valid dictionary"),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_thresholds_say_what_is_wrong_and_where(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text)
    with pytest.raises(WrongThresholds, match=told) as raised:
        read_thresholds(path)
    assert str(path) in str(raised.value)
    with pytest.raises(WrongThresholds, match="cannot be read"):
        read_thresholds(tmp_path / "none.yaml")


def test_a_version_that_answers_no_more_has_no_open_alarm() -> None:
    over = _FIRST + timedelta(weeks=3)
    [alarm] = alarms_of([_week(0, _finding("act")), _week(1, _finding("act"))], 2, retired=over)
    assert alarm.ended == over

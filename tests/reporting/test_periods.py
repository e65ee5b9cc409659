"""Periods: days, ISO weeks and months that tile the calendar."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reporting.monitoring.periods import PERIOD_KINDS, period_of, periods_before, periods_ended

_DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 1))


@given(day=_DAYS, kind=st.sampled_from(PERIOD_KINDS))
def test_every_day_lies_in_its_period_and_periods_tile_the_calendar(day: date, kind: str) -> None:
    period = period_of(day, kind)  # type: ignore[arg-type]
    assert period.begins <= day < period.ends
    assert period_of(period.ends, kind).begins == period.ends  # type: ignore[arg-type]
    first, second = periods_before(period, 2)
    assert (first.ends, second.ends, first.kind) == (second.begins, period.begins, kind)


@given(first=_DAYS, length=st.integers(0, 100))
def test_periods_that_ended_are_those_whose_last_day_lies_between(first: date, length: int) -> None:
    last = first + timedelta(days=length)
    found = periods_ended(first, last)
    assert all(first <= period.ends - timedelta(days=1) <= last for period in found)
    assert sum(period.kind == "day" for period in found) == length + 1
    assert [period.ends for period in found] == sorted(period.ends for period in found)


def test_periods_are_called_as_people_call_them() -> None:
    day = date(2027, 1, 2)
    assert [period_of(day, kind).name for kind in PERIOD_KINDS] == ["2027-01-02", "2026-W53", "2027-01"]
    assert [period.name for period in periods_before(period_of(day, "month"), 3)] == ["2026-10", "2026-11", "2026-12"]

"""Days, weeks and months that figures are of."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

PeriodKind = Literal["day", "week", "month"]
PERIOD_KINDS: Final[tuple[PeriodKind, ...]] = ("day", "week", "month")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Whole days, from ``begins`` to the day before ``ends``; weeks begin on Mondays (ISO 8601)."""

    begins: date
    ends: date
    kind: PeriodKind

    @property
    def name(self) -> str:
        """``2026-03-01``, ``2026-W09`` or ``2026-03``."""
        if self.kind == "day":
            return self.begins.isoformat()
        if self.kind == "month":
            return f"{self.begins:%Y-%m}"
        year, week, _ = self.begins.isocalendar()
        return f"{year}-W{week:02d}"

    @property
    def instants(self) -> tuple[datetime, datetime]:
        """Its first instant, and the first one after it."""
        return _midnight(self.begins), _midnight(self.ends)


def period_of(day: date, kind: PeriodKind) -> Period:
    """The day, week or month that a day lies in."""
    if kind == "day":
        return Period(day, day + timedelta(days=1), kind)
    if kind == "week":
        begins = day - timedelta(days=day.weekday())
        return Period(begins, begins + timedelta(days=7), kind)
    begins = day.replace(day=1)
    return Period(begins, (begins + timedelta(days=31)).replace(day=1), kind)


def periods_before(period: Period, count: int) -> list[Period]:
    """So many periods of the kind just ahead of one, the earliest first."""
    found: list[Period] = []
    for _ in range(count):
        found.insert(0, period_of((found[0] if found else period).begins - timedelta(days=1), period.kind))
    return found


def periods_ended(first: date, last: date, kinds: Collection[PeriodKind] = PERIOD_KINDS) -> list[Period]:
    """Periods whose last day is from ``first`` to ``last``: in order of that day, the shorter first."""
    found = []
    day = first
    while day <= last:
        for kind in PERIOD_KINDS:
            period = period_of(day, kind)
            if kind in kinds and period.ends == day + timedelta(days=1):
                found.append(period)
        day += timedelta(days=1)
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

"""The instants at which features are computed: the first of each month, as far as the statements reach."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from features.errors import ContractBroken
from features.query import query

_WARM_UP_DAYS: Final = 150
"""History that the first instant must have behind it; a shorter one would mostly hold empty windows."""


def snapshot_instants(canonical: Path, now: datetime | None = None) -> list[datetime]:
    """Month starts (UTC midnight), ascending, from the warm-up to the first one after the last statement.

    Where there are no statements, contacts count. No instant lies after ``now`` (the clock's time if left out): what is
    not over yet is computed day by day.

    Raises:
        ContractBroken: there are neither statements nor contacts.
    """
    for table in ("statements", "contacts"):
        if not any((canonical / table).glob("*.parquet")):
            continue
        first, last = query(
            "SELECT min(event_timestamp), max(event_timestamp) FROM read_parquet($rows)",
            {"rows": f"{canonical}/{table}/*.parquet"},
        ).row(0)
        if first is not None:
            break
    else:
        raise ContractBroken(
            "Tables 'statements' and 'contacts' have no rows, so there is nothing to compute features at."
        )
    start = first + timedelta(days=_WARM_UP_DAYS)
    final = month_start_after(last)
    instants = [final]
    while (earlier := plus_months(instants[0], -1)) >= start:
        instants.insert(0, earlier)
    return [instant for instant in instants if instant <= (now or datetime.now(UTC))] or [_midnight(last)]


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def month_start_after(instant: datetime) -> datetime:
    """The first midnight of the month that follows ``instant``."""
    return plus_months(datetime(instant.year, instant.month, 1, tzinfo=UTC), 1)


def plus_months(month_start: datetime, months: int) -> datetime:
    """``months`` later (or earlier); for the first day of a month, so that every month has the day."""
    number = month_start.year * 12 + month_start.month - 1 + months
    return month_start.replace(year=number // 12, month=number % 12 + 1)

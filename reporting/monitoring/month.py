"""A month of a model's scores, and from what its outcomes are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from features import plus_months
from reporting.monitoring.periods import Period, period_of
from reporting.monitoring.scored import ScoredFiles, WatchedModel
from training.reference import PROBABILITY

_NO_ROWS: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "legal_entity": pl.String,
    "party_id": pl.String,
    "scored_at": pl.Datetime("us", "UTC"),
    PROBABILITY: pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Month:
    """What a month's figures are made from.

    Attributes:
        files: of scored rows.
        model: whose.
        period: the month.
        canonical: where outcomes of parties are.
        horizon_months: in which a default counts.
        known_at: what was recorded later is not used: the month's end, or that up to which all is recorded.
    """

    files: ScoredFiles
    model: WatchedModel
    period: Period
    canonical: Path
    horizon_months: int
    known_at: datetime

    def earlier(self, months: int) -> Period:
        """The month that began so many months before this one."""
        return period_of(plus_months(self.period.instants[0], -months).date(), "month")

    def rows(self, period: Period, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Scores of parties in a period: company, party, instant and probability, and those of ``columns`` there are.

        All columns if None.
        """
        return self.rows_between(*period.instants, columns=columns)

    def rows_between(self, first: datetime, end: datetime, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The same of all scores from one instant to another."""
        paths = [str(path) for path in self.files.files(self.model, first.date(), end.date())]
        if not paths:
            return pl.DataFrame(schema=_NO_ROWS)
        scanned = pl.scan_parquet(paths, missing_columns="insert", extra_columns="ignore")
        own = (pl.col("scored_at") >= first) & (pl.col("scored_at") < end) & pl.col("party_id").is_not_null()
        if columns is not None:
            there = scanned.collect_schema().names()
            scanned = scanned.select(*_NO_ROWS, *(name for name in columns if name in there))
        return scanned.filter(own).collect()

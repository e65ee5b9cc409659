"""Applications beside what the model said of the applicant: overrides, and what declining them hides."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from features import query
from reporting.monitoring.periods import Period
from training.reference import PROBABILITY
from training.scale import MASTER_SCALE, grade_places

_SCORE_DAYS: Final = 62
"""A score as old as that is what was known of an applicant."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Decisions that went against the model, of applicants that it had scored.

    Attributes:
        applications: decided in the period by applicants with a score.
        approved: of these.
        low_side: approved though at or above the cut.
        high_side: declined though below it.
    """

    applications: int
    approved: int
    low_side: int
    high_side: int

    @property
    def share(self) -> float:
        """Of decisions that went against the model."""
        return (self.low_side + self.high_side) / self.applications


@dataclass(frozen=True, slots=True)
class RejectBounds:
    """Between what the default rate of all who applied lies, of which the declined show nothing.

    Attributes:
        applications: whose horizon is over.
        approved: of these.
        approved_rate: of default among the approved.
        low: if the declined were as the approved of the same grades.
        predicted: if they were as the model says.
        high: if all of them had defaulted (Manski 1989, Anatomy of the selection problem).
    """

    applications: int
    approved: int
    approved_rate: float
    low: float
    predicted: float
    high: float


def applicants(canonical: Path, scored: pl.DataFrame, period: Period, known_at: datetime) -> pl.DataFrame:
    """Applications of a period that were decided, with the last score of the applicant before each.

    Args:
        canonical: where ``applications`` and ``parties`` are.
        scored: ``legal_entity, party_id, scored_at, probability``.
        period: in which they applied.
        known_at: what was recorded later is not used.

    Returns:
        ``legal_entity, party_id, application_id, event_timestamp, approved, probability``.
    """
    if not any((canonical / "applications").glob("*.parquet")):
        return pl.DataFrame(schema=_SCHEMA)
    first, end = period.instants
    return query(
        _APPLICANTS_SQL,
        {
            "applications": f"{canonical}/applications/*.parquet",
            "parties": f"{canonical}/parties/*.parquet",
            "first": first,
            "end": end,
            "known_at": known_at,
            "days": _SCORE_DAYS,
        },
        scored=scored.select("legal_entity", "party_id", "scored_at", PROBABILITY),
    )


def overrides_of(found: pl.DataFrame, cut: float) -> Overrides | None:
    """How many went against the model; None of no applications."""
    if found.is_empty():
        return None
    approved, below = found["approved"], found[PROBABILITY] < cut
    return Overrides(found.height, int(approved.sum()), int((approved & ~below).sum()), int((~approved & below).sum()))


def reject_bounds(found: pl.DataFrame, defaulted: pl.Series) -> RejectBounds | None:
    """Bounds of the default rate of all applicants.

    Args:
        found: as ``applicants`` gives them.
        defaulted: of each, null where it is not known: then the row is left out, unless it was declined.

    Returns None where nobody was approved, or nobody declined.
    """
    known = found.with_columns(defaulted=defaulted).filter(~pl.col("approved") | pl.col("defaulted").is_not_null())
    approved, declined = known.filter("approved"), known.filter(~pl.col("approved"))
    if approved.is_empty() or declined.is_empty():
        return None
    labels = approved["defaulted"].cast(pl.Float64).to_numpy()
    count, rate, share = len(MASTER_SCALE), float(labels.mean()), approved.height / known.height
    places = grade_places(approved[PROBABILITY].to_numpy())
    rows, events = np.bincount(places, minlength=count), np.bincount(places, labels, count)
    # A grade of which few were approved is taken to be as all of them.
    by_grade = (events + 20 * rate) / (rows + 20)
    low = float(by_grade[grade_places(declined[PROBABILITY].to_numpy())].mean())
    return RejectBounds(
        applications=known.height,
        approved=approved.height,
        approved_rate=rate,
        low=share * rate + (1 - share) * low,
        predicted=share * rate + (1 - share) * float(declined[PROBABILITY].to_numpy().mean()),
        high=share * rate + (1 - share),
    )


_SCHEMA: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "legal_entity": pl.String,
    "party_id": pl.String,
    "application_id": pl.String,
    "event_timestamp": pl.Datetime("us", "UTC"),
    "approved": pl.Boolean,
    PROBABILITY: pl.Float64,
}

_APPLICANTS_SQL: Final = """
SELECT
    applications.legal_entity,
    parties.party_id,
    applications.application_id,
    applications.event_timestamp,
    applications.outcome = 'approved' AS approved,
    scored.probability
FROM read_parquet($applications) AS applications
JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
JOIN scored
  ON scored.legal_entity = applications.legal_entity
 AND scored.party_id = parties.party_id
 AND scored.scored_at <= applications.event_timestamp
 AND scored.scored_at > applications.event_timestamp - to_days($days)
WHERE applications.outcome IN ('approved', 'declined')
  AND applications.event_timestamp >= $first AND applications.event_timestamp < $end
  AND applications.created_timestamp <= $known_at
  AND (applications.superseded_at IS NULL OR applications.superseded_at > $known_at)
QUALIFY row_number() OVER (
    PARTITION BY applications.legal_entity, applications.application_id ORDER BY scored.scored_at DESC
) = 1
ORDER BY ALL
"""

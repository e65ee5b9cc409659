"""A month's decisions, put together: for the page, for tables, and for what is beyond thresholds."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from features import plus_months
from reporting.monitoring.decisions.applicants import (
    Overrides,
    RejectBounds,
    applicants,
    overrides_of,
    reject_bounds,
)
from reporting.monitoring.decisions.population import GradeShare, ProductOffers, grade_shares, product_offers
from reporting.monitoring.decisions.reference import DecisionReference
from reporting.monitoring.decisions.selection import ATTRIBUTES, Selection, selections
from reporting.monitoring.figures import Figure
from reporting.monitoring.findings import Finding
from reporting.monitoring.performance.outcomes import outcomes_of
from reporting.monitoring.periods import Period, period_of
from reporting.monitoring.scored import ScoredFiles, WatchedModel
from reporting.monitoring.thresholds import Thresholds
from training.reference import PROBABILITY

_COLUMNS: Final = (
    "legal_entity", "party_id", "scored_at", PROBABILITY, *ATTRIBUTES, "product_asked", "eligible", "credit_limit",
    "rate_per_annum", "rules_fired",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MonthDecisions:
    """A month's decisions; ``bounds_of`` names the earlier month that ``bounds`` are of."""

    grades: tuple[GradeShare, ...]
    selections: tuple[Selection, ...]
    offers: tuple[ProductOffers, ...]
    overrides: Overrides | None
    bounds: RejectBounds | None
    bounds_of: str


def month_decisions(
    reference: DecisionReference,
    files: ScoredFiles,
    model: WatchedModel,
    period: Period,
    canonical: Path,
    horizon_months: int,
    known_at: datetime,
) -> MonthDecisions | None:
    """What was decided in a month, and what came by then of those who applied a horizon earlier; None of no rows."""
    rows = _rows(files, model, period)
    if rows.is_empty():
        return None
    recent = pl.concat([_rows(files, model, one) for one in (*_before(period), period)], how="diagonal_relaxed")
    earlier = period_of(plus_months(period.instants[0], -horizon_months).date(), "month")
    return MonthDecisions(
        grades=tuple(grade_shares(rows[PROBABILITY].to_numpy(), reference.grades)),
        selections=tuple(selections(rows, reference.cut)),
        offers=tuple(product_offers(rows)),
        overrides=overrides_of(applicants(canonical, recent, period, known_at), reference.cut),
        bounds=_bounds(files, model, earlier, canonical, horizon_months, known_at),
        bounds_of=earlier.name,
    )


def decision_figures(found: MonthDecisions, period: str, rows: int) -> list[Figure]:
    """Figures of a month's decisions, for tables."""
    figures = [
        Figure(f"selection_ratio_{one.attribute}", period, sum(group.rows for group in one.groups), one.ratio)
        for one in found.selections
    ]
    figures += [Figure(f"share_of_{grade.grade}", period, rows, grade.share) for grade in found.grades]
    if found.overrides is not None:
        figures.append(Figure("override_share", period, found.overrides.applications, found.overrides.share))
    if found.bounds is not None:
        own = found.bounds
        figures.append(
            Figure("default_rate_of_applicants", found.bounds_of, own.applications, own.predicted, own.low, own.high)
        )
    return figures


def fairness_findings(found: MonthDecisions, reference: DecisionReference, thresholds: Thresholds) -> list[Finding]:
    """Attributes whose groups are selected too differently, more so than at training, and beyond chance."""
    bounds = thresholds.fairness
    return [
        Finding(
            "fairness", one.attribute, f"{one.attribute}={one.least}", "selection_ratio", one.ratio, bounds.ratio,
            "watch",
            f"below the cut lie {_of(one, one.least):.1%} of {one.least}, {one.ratio:.2f} times the most selected "
            f"group; at training it was {reference.ratios.get(one.attribute, 1.0):.2f} times",
            f"{one.least} 的通过率为 {_of(one, one.least):.1%}，为最高组的 {one.ratio:.2f} 倍，"
            f"训练时为 {reference.ratios.get(one.attribute, 1.0):.2f} 倍",
        )
        for one in found.selections
        if one.ratio < bounds.ratio
        and one.ratio < reference.ratios.get(one.attribute, 1.0) - bounds.less_than_training_by
        and one.p_value <= thresholds.false_alarms
    ]  # fmt: skip


def _of(selection: Selection, name: str) -> float:
    return next(group.selection_rate for group in selection.groups if group.group == name)


def _bounds(
    files: ScoredFiles, model: WatchedModel, earlier: Period, canonical: Path, horizon_months: int, known_at: datetime
) -> RejectBounds | None:
    scored = pl.concat([_rows(files, model, one) for one in (*_before(earlier), earlier)], how="diagonal_relaxed")
    if scored.is_empty():
        return None
    found = applicants(canonical, scored, earlier, known_at)
    if found.is_empty():
        return None
    outcomes = outcomes_of(canonical, found.rename({"event_timestamp": "scored_at"}), horizon_months, known_at)
    return reject_bounds(found, outcomes.rows["defaulted"])


def _before(period: Period) -> list[Period]:
    """The two months before one: an applicant's score may be as old."""
    return [period_of(plus_months(period.instants[0], -months).date(), "month") for months in (2, 1)]


def _rows(files: ScoredFiles, model: WatchedModel, period: Period) -> pl.DataFrame:
    first, end = period.instants
    paths = [str(path) for path in files.of_period(model, period)]
    if not paths:
        return pl.DataFrame(schema=_NO_ROWS)
    scanned = pl.scan_parquet(paths, missing_columns="insert", extra_columns="ignore")
    there = [name for name in _COLUMNS if name in scanned.collect_schema().names()]
    own = (pl.col("scored_at") >= first) & (pl.col("scored_at") < end) & pl.col("party_id").is_not_null()
    return scanned.select(there).filter(own).collect()


_NO_ROWS: Final[dict[str, type[pl.DataType] | pl.DataType]] = {
    "legal_entity": pl.String,
    "party_id": pl.String,
    "scored_at": pl.Datetime("us", "UTC"),
    PROBABILITY: pl.Float64,
}

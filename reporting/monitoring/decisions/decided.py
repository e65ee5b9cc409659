"""A month's decisions, put together: for the page, for tables, and for what is beyond thresholds."""

from dataclasses import dataclass
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
from reporting.monitoring.month import Month
from reporting.monitoring.performance.outcomes import outcomes_of
from reporting.monitoring.periods import Period
from reporting.monitoring.thresholds import Thresholds
from training.reference import PROBABILITY

_COLUMNS: Final = (*ATTRIBUTES, "product_asked", "eligible", "credit_limit", "rate_per_annum", "rules_fired")


@dataclass(frozen=True, slots=True)
class MonthDecisions:
    """A month's decisions; ``bounds_of`` names the earlier month that ``bounds`` are of."""

    grades: tuple[GradeShare, ...]
    selections: tuple[Selection, ...]
    offers: tuple[ProductOffers, ...]
    overrides: Overrides | None
    bounds: RejectBounds | None
    bounds_of: str


def month_decisions(reference: DecisionReference, month: Month) -> MonthDecisions | None:
    """What was decided in a month, and what came by then of those who applied a horizon earlier; None of no rows."""
    rows = month.rows(month.period, _COLUMNS)
    if rows.is_empty():
        return None
    decided = applicants(month.canonical, _scored_before(month, month.period), month.period, month.known_at)
    earlier = month.earlier(month.horizon_months)
    return MonthDecisions(
        grades=tuple(grade_shares(rows[PROBABILITY].to_numpy(), reference.grades)),
        selections=tuple(selections(rows, reference.cut)),
        offers=tuple(product_offers(rows)),
        overrides=overrides_of(decided, reference.cut),
        bounds=_bounds(month, earlier),
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


def _bounds(month: Month, earlier: Period) -> RejectBounds | None:
    found = applicants(month.canonical, _scored_before(month, earlier), earlier, month.known_at)
    if found.is_empty():
        return None
    asked = found.rename({"event_timestamp": "scored_at"})
    outcomes = outcomes_of(month.canonical, asked, month.horizon_months, month.known_at)
    return reject_bounds(found, outcomes.rows["defaulted"])


def _scored_before(month: Month, period: Period) -> pl.DataFrame:
    """Scores of a period and of the two months before it: an applicant's may be as old."""
    first, end = period.instants
    return month.rows_between(plus_months(first, -2), end, columns=())

"""A month's performance: what is expected of its scores, and what came of those of three months and a year before."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features import plus_months
from reporting.monitoring.decisions.population import reference_shares
from reporting.monitoring.decisions.reference import DecisionReference
from reporting.monitoring.decisions.selection import selections
from reporting.monitoring.month import Month
from reporting.monitoring.performance.early import EarlyRates, EarlySigns, early_rates, early_signs
from reporting.monitoring.performance.estimated import Estimated, Line, estimated, line_of_reference
from reporting.monitoring.performance.explained import Explanation, explained
from reporting.monitoring.performance.outcomes import EARLY_MONTHS, outcomes_of
from training import Performance, Reference, performance
from training.reference import FEATURE, PROBABILITY
from training.scale import MASTER_SCALE
from training.validation import read_limits
from training.validation.discrimination import Interval, gini_and_ks_intervals
from training.validation.reliability import GradeTest, grade_tests

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_LEAST_EVENTS: Final = 20


@dataclass(frozen=True)
class PerformanceReference:
    """What a model's reference says of performance, worked out once for all periods.

    Attributes:
        performance: on the test rows, which came after training.
        line: that puts probabilities right.
        early: rates of early signs; None where the data do not tell them.
        share: of the reference's rows that count as independent.
        decisions: what decisions are held against.
    """

    performance: Performance
    line: Line
    early: EarlyRates | None
    share: float
    decisions: DecisionReference

    @property
    def cut(self) -> float:
        """The probability that the share of rows which limits are judged at lies below."""
        return self.decisions.cut


@dataclass(frozen=True, slots=True)
class Realised:
    """What came of the scores of an earlier period, whose horizon is over.

    Attributes:
        of: that period's name.
        performance: of its rows whose outcome is known.
        auc: with bounds.
        grades: what each grade expected and what came, with a light.
        expected_auc: what was estimated of these rows without outcomes.
        contradicted: rows whose records contradict each other.
        unknown: rows without an outcome: in default already.
    """

    of: str
    performance: Performance
    auc: Interval
    grades: tuple[GradeTest, ...]
    expected_auc: Interval
    contradicted: int
    unknown: int


@dataclass(frozen=True, slots=True)
class EarlyOf:
    """Early signs of the scores of an earlier period, and who they are most of, where they moved."""

    of: str
    signs: EarlySigns
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class PeriodPerformance:
    """All of it; what is not known yet, or is of too few, is None.

    ``too_few`` names earlier periods whose outcomes are over but too few to say anything, ``late`` those whose outcomes
    should be known by now and are not recorded.
    """

    estimated: Estimated | None
    early: EarlyOf | None
    realised: Realised | None
    too_few: tuple[str, ...]
    late: tuple[str, ...] = ()


def performance_reference(reference: Reference, canonical: Path, horizon_months: int) -> PerformanceReference | None:
    """Work it out; None of a model whose rows have no parties, or no outcomes of both kinds."""
    rows = pl.read_parquet(reference.rows_file, columns=None)
    rows = rows.select(name for name in rows.columns if not name.startswith(FEATURE))
    if not {"legal_entity", "party_id", "event_timestamp"} <= set(rows.columns):
        return None
    test = rows.filter(fold="test")
    if min(int(test["outcome"].sum()), int((1 - test["outcome"]).sum())) < _LEAST_EVENTS:
        return None
    outcome, probability = (rows[name].to_numpy() for name in ("outcome", PROBABILITY))
    cut = float(np.quantile(probability, read_limits().share("credit")))
    return PerformanceReference(
        performance=performance(test["outcome"].to_numpy(), test[PROBABILITY].to_numpy()),
        line=line_of_reference(outcome, probability),
        early=_early_rates(rows, canonical, horizon_months),
        share=_party_share(rows),
        decisions=DecisionReference(
            cut, reference_shares(probability), {one.attribute: one.ratio for one in selections(rows, cut)}
        ),
    )


def month_performance(reference: PerformanceReference, month: Month) -> PeriodPerformance:
    """A month's performance, from what was known then."""
    too_few: list[str] = []
    late: list[str] = []
    current = month.rows(month.period, ())
    expected = None if current.is_empty() else _estimated(reference, current)
    early = _early(reference, month, too_few, late)
    realised = _realised(reference, month, too_few, late)
    return PeriodPerformance(expected, early, realised, tuple(too_few), tuple(late))


def _estimated(reference: PerformanceReference, rows: pl.DataFrame) -> Estimated:
    probability = rows[PROBABILITY].to_numpy()
    return estimated(probability, reference.line(probability), _parties(rows), reference.cut)


def _realised(reference: PerformanceReference, month: Month, too_few: list[str], late: list[str]) -> Realised | None:
    earlier = month.earlier(month.horizon_months)
    rows = month.rows(earlier, ())
    if rows.is_empty():
        return None
    found = outcomes_of(month.canonical, rows, month.horizon_months, month.known_at)
    known = rows.with_columns(found.rows["defaulted"]).drop_nulls("defaulted")
    if known.is_empty():
        late.append(earlier.name)
        return None
    labels = known["defaulted"].cast(pl.Float64).to_numpy()
    if min(labels.sum(), (1 - labels).sum()) < _LEAST_EVENTS:
        too_few.append(earlier.name)
        return None
    probability = known[PROBABILITY].to_numpy()
    gini, _ = gini_and_ks_intervals(labels, probability)
    return Realised(
        of=earlier.name,
        performance=performance(labels, probability),
        auc=Interval(*((1 + value) / 2 for value in (gini.figure, gini.low, gini.high))),
        grades=grade_tests(labels, probability, MASTER_SCALE),
        expected_auc=_estimated(reference, rows).auc,
        contradicted=found.contradicted,
        unknown=rows.height - known.height,
    )


def _early(reference: PerformanceReference, month: Month, too_few: list[str], late: list[str]) -> EarlyOf | None:
    earlier = month.earlier(EARLY_MONTHS)
    rows = month.rows(earlier)
    if rows.is_empty() or reference.early is None:
        return None
    found = outcomes_of(month.canonical, rows, month.horizon_months, month.known_at)
    known = rows.with_columns(found.rows["early"]).drop_nulls("early")
    if known.is_empty():
        late.append(earlier.name)
        return None
    probability, early = known[PROBABILITY].to_numpy(), known["early"].cast(pl.Float64).to_numpy()
    signs = early_signs(reference.early, probability, early, _party_share(known), reference.share)
    if signs is None:
        too_few.append(earlier.name)
        return None
    return EarlyOf(earlier.name, signs, explained(known, early, reference.early))


def _early_rates(rows: pl.DataFrame, canonical: Path, horizon_months: int) -> EarlyRates | None:
    if not any((canonical / "statements").glob("*.parquet")):
        return None
    asked = rows.rename({"event_timestamp": "scored_at"})
    # All of it was over when the model was trained.
    last: datetime = asked["scored_at"].sort()[-1]
    found = outcomes_of(canonical, asked, horizon_months, plus_months(last, horizon_months))
    known = rows.with_columns(found.rows["early"]).drop_nulls("early")
    return early_rates(
        known[PROBABILITY].to_numpy(), known["early"].cast(pl.Float64).to_numpy(), known["outcome"].to_numpy()
    )


def _parties(rows: pl.DataFrame) -> Integers:
    """A number for each row's party, from 0 on."""
    named = rows.select(pl.concat_str("legal_entity", "party_id", separator=" ").rank("dense").cast(pl.Int64) - 1)
    return named.to_series().to_numpy()


def _party_share(rows: pl.DataFrame) -> float:
    """Parties over rows: the share that counts as independent."""
    return (int(_parties(rows).max()) + 1) / rows.height

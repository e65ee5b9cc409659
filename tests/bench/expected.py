"""Performance before outcomes: what is expected of it, and what came, on rows of the small group that are known by now.

Half of the parties are the reference, months are drawn from the others. Where only covariates move, rows are drawn with
weights by a feature, so that other customers come and the risk of each stays. Where labels shift, defaults come more
often; where the concept moves, some of those who never fell behind do so too.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from features import plus_months
from reporting.monitoring.decisions.reference import DecisionReference
from reporting.monitoring.performance.early import EarlyRates, early_rates, early_signs
from reporting.monitoring.performance.estimated import Line, estimated, line_of_reference
from reporting.monitoring.performance.explained import explained
from reporting.monitoring.performance.judged import performance_findings, performance_notes
from reporting.monitoring.performance.measured import EarlyOf, PerformanceReference, PeriodPerformance
from reporting.monitoring.performance.outcomes import outcomes_of
from reporting.monitoring.thresholds import read_thresholds
from training import performance
from training.frames import party_tickets
from training.reference import FEATURE, PROBABILITY

Vector = npt.NDArray[np.float64]

_ROWS: Final = 40_000
_ROWS_A_MONTH: Final = 5_000
_RUNS: Final = 10
_MONTHS_A_RUN: Final = 3
_TILTS: Final = (
    "income_per_month",
    "utilisation_mean_90d",
    "days_past_due_max_360d",
    "relationship_months",
    "age_years",
)


@dataclass(frozen=True)
class Halves:
    """What the reference says, and the rows that months are drawn from: ``early``, ``outcome``, ``probability``, …"""

    reference: PerformanceReference
    population: pl.DataFrame

    @property
    def early(self) -> EarlyRates:
        """The rates of early signs at training."""
        assert self.reference.early is not None
        return self.reference.early


def halves(rows: pl.DataFrame, canonical: Path, horizon_months: int) -> Halves:
    """Divide the rows of a reference by party, and look up their early signs."""
    asked = rows.rename({"event_timestamp": "scored_at"})
    last = asked["scored_at"].sort()[-1]
    found = outcomes_of(canonical, asked, horizon_months, plus_months(last, horizon_months))
    known = rows.with_columns(found.rows["early"].cast(pl.Float64)).drop_nulls("early")
    half = pl.Series(party_tickets(known["party_id"]) % 2 == 0)
    own, population = known.filter(half), known.filter(~half)
    outcome, probability = own["outcome"].to_numpy(), own[PROBABILITY].to_numpy()
    rates = early_rates(probability, own["early"].to_numpy(), outcome)
    share = own["party_id"].n_unique() / own.height
    line = line_of_reference(outcome, probability)
    measured = PerformanceReference(
        performance(outcome, probability), line, rates, share, DecisionReference(0.1, [], {})
    )
    return Halves(measured, population)


def expected_and_realised(sides: Halves, seed: int) -> dict[str, Any]:
    """By how much the expected AUC misses the one that came, where only covariates move."""
    rng = np.random.default_rng(seed)
    cases: list[dict[str, Any]] = []
    for name in (None, *(tilt for tilt in _TILTS if f"{FEATURE}{tilt}" in sides.population.columns)):
        for way in (1.0, -1.0) if name else (0.0,):
            drawn = sides.population[_tilted(sides.population, name, way, rng)]
            expected = _expected_auc(drawn, sides.reference.line)
            came = float(roc_auc_score(drawn["outcome"].to_numpy(), drawn[PROBABILITY].to_numpy()))
            cases.append({"tilted_by": name, "way": way, "expected": expected, "realised": came})
    misses = [abs(one["expected"] - one["realised"]) for one in cases]
    return {"largest_miss": max(misses), "mean_miss": float(np.mean(misses)), "each": cases}


def moved(sides: Halves, seed: int) -> dict[str, Any]:
    """Runs of three months at rest, of shifted labels, and of a moved concept: in which month each is found, if it is.

    A month in which it is found warns that what is expected is not to be relied on.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, int]] = {}
    for kind in ("at rest", "label shift", "concept"):
        months = [_found_in(sides, kind, rng) for _ in range(_RUNS)]
        by_month = {f"in month {number}": months.count(number) for number in range(1, _MONTHS_A_RUN + 1)}
        found[kind] = {"runs": _RUNS, "found": sum(month is not None for month in months), **by_month}
    return found


def _found_in(sides: Halves, kind: str, rng: np.random.Generator) -> int | None:
    for number in range(1, _MONTHS_A_RUN + 1):
        drawn = _month(sides.population, kind, rng)
        early, probability = drawn["early"].to_numpy(), drawn[PROBABILITY].to_numpy()
        share = drawn["party_id"].n_unique() / drawn.height
        signs = early_signs(sides.early, probability, early, share, sides.reference.share)
        assert signs is not None
        expected = estimated(probability, sides.reference.line(probability), np.arange(drawn.height), 0.1)
        month = PeriodPerformance(expected, EarlyOf("then", signs, explained(drawn, early, sides.early)), None, ())
        findings = performance_findings(month, sides.reference, read_thresholds())
        if any(finding.kind == "concept_drift" for finding in findings):
            assert [note.code for note in performance_notes(month, findings)] == ["concept_moved"]
            return number
    return None


def _month(population: pl.DataFrame, kind: str, rng: np.random.Generator) -> pl.DataFrame:
    weights = np.ones(population.height)
    if kind == "label shift":
        weights = np.where(population["outcome"].to_numpy() > 0, 2.5, 1.0)
    drawn = population[rng.choice(population.height, _ROWS_A_MONTH, p=weights / weights.sum())]
    if kind != "concept":
        return drawn
    struck = (drawn["kind"].to_numpy() == "person") & (rng.random(drawn.height) < 0.06)
    return drawn.with_columns(early=pl.Series(np.maximum(drawn["early"].to_numpy(), struck)))


def _tilted(rows: pl.DataFrame, name: str | None, way: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Places of rows, those with high (or low) values of a feature drawn up to four times as often."""
    weights = np.ones(rows.height)
    if name is not None:
        ranks = rows[f"{FEATURE}{name}"].rank("average").fill_null(rows.height / 2).to_numpy() / rows.height
        weights = np.exp(way * np.log(4.0) * (ranks - 0.5))
    return rng.choice(rows.height, _ROWS, p=weights / weights.sum())


def _expected_auc(rows: pl.DataFrame, line: Line) -> float:
    probability = rows[PROBABILITY].to_numpy()
    return estimated(probability, line(probability), np.arange(rows.height), 0.1).auc.figure

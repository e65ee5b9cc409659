"""What a source is worth to a model that decides about the group's own customers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from features.sources.quality.measures import (
    Matrix,
    Vector,
    bootstrapped_gini,
    information_value,
    largest_psi,
    rank_correlations,
    single_auc,
)
from features.sources.quality.selection import best_combination

Learner = Callable[[Matrix, Vector, Matrix], Vector]
"""Fits on rows and labels and gives scores for other rows, larger where the label is likelier 1."""

LEAST_GAIN: Final = 0.002
"""Gini that a source must bring to a combination: less than that is what two seeds differ by."""

_DRAWS: Final = 200
_RANKED_ROWS: Final = 20_000
"""Rows, evenly taken, on which correlations are measured: more of them move the second digit no more."""
_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class SourceOffer:
    """A source that could be used: its columns in the frame, what a year of it costs, and what its delivery was like.

    ``validity`` is the share of its rows that kept their contract, ``delay_days`` how long after a thing happened it
    was told (median), ``age_days`` how old the newest record of a customer was when it was needed (median); None where
    it was not seen.
    """

    name: str
    columns: tuple[str, ...]
    cost_per_year: float
    validity: float | None = None
    delay_days: float | None = None
    age_days: float | None = None


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """One column, measured on the target customers; ``psi`` is the largest of any month against the first half."""

    name: str
    completeness: float
    psi: float
    information_value: float
    auc: float
    alike: str | None
    alike_correlation: float


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """A source, measured: its delivery, its columns, and what it adds to the Gini of the model without it.

    ``coverage`` is the share of target rows with any of its values; ``gain_low`` and ``gain_high`` bound the gain with
    a probability of 0.9 (bootstrap of the test rows).
    """

    offer: SourceOffer
    coverage: float
    completeness: float
    psi: float
    columns: tuple[ColumnQuality, ...]
    gain: float
    gain_low: float
    gain_high: float

    @property
    def cost_per_point(self) -> float | None:
        """What one point (0.01) of Gini costs a year; None where there is no gain."""
        return self.offer.cost_per_year / (100 * self.gain) if self.gain > 0 else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All sources, the model that is there already, and the best set of sources under the budget.

    ``chosen_gain`` is measured with all of the chosen sources together, not added up.
    """

    sources: tuple[SourceQuality, ...]
    base_gini: float
    train_rows: int
    test_rows: int
    test_defaults: int
    budget: float
    chosen: tuple[str, ...]
    chosen_gain: float


def judge(
    train: pl.DataFrame,
    test: pl.DataFrame,
    base: Sequence[str],
    offers: Sequence[SourceOffer],
    learner: Learner,
    *,
    budget: float,
    progress: Callable[[str], None] = lambda _what: None,
) -> Judgement:
    """Judge sources by what is known of target customers and what became of them.

    Args:
        train: rows to learn from: ``event_timestamp``, ``defaulted`` and all columns as float64, null for unknown.
        test: later rows, or other customers', to measure on.
        base: the columns of the model that is there already; may be none.
        offers: the sources.
        learner: the model.
        budget: a year's money for all sources.
        progress: is told what was done, once for each of ``steps_of`` many steps.
    """
    gini = _Gini(train, test, base, offers, learner, progress)
    nothing = gini.of(())
    alone = {offer.name: gini.of((offer.name,)) - nothing for offer in offers}
    pairs = {frozenset(pair): gini.of(pair) - nothing for pair in combinations([offer.name for offer in offers], 2)}
    costs = {offer.name: offer.cost_per_year for offer in offers}
    chosen = best_combination(alone, pairs, costs, budget, least_gain=LEAST_GAIN)
    sources = []
    for offer in offers:
        low, high = gini.bounds((offer.name,))
        columns = _columns(train, test, base, offer)
        rows = pl.concat([train.select(offer.columns), test.select(offer.columns)])
        sources.append(
            SourceQuality(
                offer,
                coverage=float(rows.select(pl.any_horizontal(pl.all().is_not_null()).mean()).item()),
                completeness=float(np.mean([column.completeness for column in columns])),
                psi=max(column.psi for column in columns),
                columns=columns,
                gain=alone[offer.name],
                gain_low=low,
                gain_high=high,
            )
        )
        progress(f"measured {offer.name}")
    gain = gini.of(tuple(chosen)) - nothing
    return Judgement(
        tuple(sorted(sources, key=lambda source: -source.gain)),
        nothing,
        len(train),
        len(test),
        int(test["defaulted"].sum()),
        budget,
        tuple(chosen),
        gain,
    )


def steps_of(offers: int) -> int:
    """How many steps ``judge`` reports: models of none, each, each two and the chosen; and each source measured."""
    return 2 + offers + offers * (offers - 1) // 2 + offers


class _Gini:
    """Gini on the test by the set of sources, each set learnt once."""

    def __init__(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        base: Sequence[str],
        offers: Sequence[SourceOffer],
        learner: Learner,
        progress: Callable[[str], None],
    ) -> None:
        self._train, self._test, self._base = train, test, list(base)
        self._columns = {offer.name: list(offer.columns) for offer in offers}
        self._learner, self._progress = learner, progress
        self._labels = _floats(test, ["defaulted"])[:, 0]
        self._scores: dict[frozenset[str], Vector] = {}

    def of(self, names: Sequence[str]) -> float:
        """Gini with these sources; 0 where there is no column at all."""
        return _gini(self._labels, self._scored(names))

    def bounds(self, names: Sequence[str]) -> tuple[float, float]:
        """Between what and what the gain lies with a probability of 0.9, on other test rows of the same kind."""
        rows = len(self._labels)
        random = np.random.default_rng(_SEED)
        draws = np.stack([np.bincount(random.integers(0, rows, rows), minlength=rows) for _ in range(_DRAWS)])
        with_it, without = (bootstrapped_gini(self._labels, self._scored(of), draws) for of in (names, ()))
        low, high = np.nanquantile(with_it - without, [0.05, 0.95])
        return float(low), float(high)

    def _scored(self, names: Sequence[str]) -> Vector:
        key = frozenset(names)
        if key not in self._scores:
            columns = [*self._base, *(column for name in sorted(key) for column in self._columns[name])]
            if columns:
                labels = _floats(self._train, ["defaulted"])[:, 0]
                scores = self._learner(_floats(self._train, columns), labels, _floats(self._test, columns))
            else:
                scores = np.zeros(len(self._test))
            self._scores[key] = scores
            self._progress(f"learnt with {', '.join(sorted(key)) or 'nothing'}")
        return self._scores[key]


def _columns(
    train: pl.DataFrame, test: pl.DataFrame, base: Sequence[str], offer: SourceOffer
) -> tuple[ColumnQuality, ...]:
    rows = pl.concat([train, test], how="diagonal").sort("event_timestamp")
    labels = _floats(rows, ["defaulted"])[:, 0]
    others = [name for name in base if name not in offer.columns]
    columns = _floats(rows, offer.columns)
    every = -(-len(rows) // _RANKED_ROWS) or 1
    alike = rank_correlations(columns[::every], _floats(rows.gather_every(every), others))
    months, month = np.unique(rows["event_timestamp"].dt.strftime("%Y-%m").to_numpy(), return_inverse=True)
    found = []
    for number, name in enumerate(offer.columns):
        values = columns[:, number]
        place = int(np.abs(alike[number]).argmax()) if others else None
        found.append(
            ColumnQuality(
                name,
                completeness=float(1 - np.isnan(values).mean()),
                psi=largest_psi(values, month, (len(months) + 1) // 2),
                information_value=information_value(values, labels),
                auc=single_auc(values, labels),
                alike=None if place is None else others[place],
                alike_correlation=0.0 if place is None else float(alike[number, place]),
            )
        )
    return tuple(sorted(found, key=lambda column: -column.information_value))


def _floats(rows: pl.DataFrame, columns: Sequence[str]) -> Matrix:
    if not columns:
        return np.empty((len(rows), 0))
    return rows.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()


def _gini(labels: Vector, scores: Vector) -> float:
    return float(2 * roc_auc_score(labels, scores) - 1)

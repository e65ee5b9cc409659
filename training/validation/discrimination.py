"""How well a model tells those with the event from those without: Gini, KS, the CAP curve, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from training.validation.rows import ScoredRows, Texts, Vector

_DRAWS: Final = 200
_CURVE_POINTS: Final = 101
_LEAST_EVENTS: Final = 10
"""With fewer events or fewer rows without one, a Gini says nothing."""


@dataclass(frozen=True, slots=True)
class Performance:
    """How well probabilities told events from the rest on some rows."""

    rows: int
    events: int
    event_rate: float
    mean_probability: float
    auc: float
    gini: float
    ks: float
    brier: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds between which 95 of 100 samples like this one would put it."""

    figure: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PartPerformance:
    """One segment or month: its size, and its Gini where it holds enough events of both kinds."""

    name: str
    rows: int
    events: int
    event_rate: float
    mean_probability: float
    gini: float | None
    ks: float | None


def performance(labels: Vector, probability: Vector) -> Performance:
    """The measures of probabilities ``(n,)`` against labels ``(n,)``; both classes must occur.

    Gini = 2·AUC − 1. KS is the largest distance between the two classes' distribution functions.
    """
    auc = float(roc_auc_score(labels, probability))
    return Performance(
        rows=len(labels),
        events=int(labels.sum()),
        event_rate=float(labels.mean()),
        mean_probability=float(probability.mean()),
        auc=auc,
        gini=2 * auc - 1,
        ks=_ks(labels, probability),
        brier=float(brier_score_loss(labels, probability)),
        log_loss=float(log_loss(labels, probability)),
    )


def gini_and_ks_intervals(labels: Vector, probability: Vector, *, seed: int = 0) -> tuple[Interval, Interval]:
    """Gini and KS with 95 % percentile intervals of 200 bootstrap samples (Efron and Tibshirani 1993, chapter 13)."""
    rng = np.random.default_rng(seed)
    _, group = np.unique(probability, return_inverse=True)
    groups = int(group.max()) + 1
    found = np.empty((_DRAWS, 2))
    chance = np.full(len(labels), 1 / len(labels))
    for draw in range(_DRAWS):
        times = rng.multinomial(len(labels), chance).astype(np.float64)
        bad, good = (_counts(group, times * one, groups) for one in (labels, 1 - labels))
        found[draw] = gini_and_ks_of_counts(bad, good)
    whole = gini_and_ks_of_counts(_counts(group, labels, groups), _counts(group, 1 - labels, groups))
    low, high = np.nanquantile(found, [0.025, 0.975], axis=0)
    gini, ks = (
        Interval(float(whole[place]), float(low[place]), float(high[place])) for place in range(2)
    )  # fmt: skip
    return gini, ks


def cap_curve(labels: Vector, probability: Vector) -> npt.NDArray[np.float64]:
    """The cumulative accuracy profile ``(101, 2)``: share of rows, riskiest first, and share of events among them."""
    caught = np.concatenate([[0.0], np.cumsum(labels[np.argsort(-probability, kind="stable")])]) / labels.sum()
    places = np.linspace(0, len(labels), _CURVE_POINTS)
    return np.column_stack([places / len(labels), np.interp(places, np.arange(len(labels) + 1), caught)])


def by_part(scored: ScoredRows, parts: Texts) -> tuple[PartPerformance, ...]:
    """Each part's performance, in the order of their names."""
    return tuple(_part(str(name), scored, parts == name) for name in np.unique(parts))


def by_segment(scored: ScoredRows) -> dict[str, tuple[PartPerformance, ...]]:
    """By each way of dividing the rows, and by month where they have one."""
    divided: Mapping[str, Texts] = dict(scored.segments) | ({"month": scored.months} if len(scored.months) else {})
    return {name: by_part(scored, parts) for name, parts in divided.items()}


def _part(name: str, scored: ScoredRows, own: npt.NDArray[np.bool_]) -> PartPerformance:
    labels, probability = scored.labels[own], scored.probability[own]
    events = int(labels.sum())
    enough = min(events, len(labels) - events) >= _LEAST_EVENTS
    return PartPerformance(
        name=name,
        rows=len(labels),
        events=events,
        event_rate=float(labels.mean()),
        mean_probability=float(probability.mean()),
        gini=2 * float(roc_auc_score(labels, probability)) - 1 if enough else None,
        ks=_ks(labels, probability) if enough else None,
    )


def _ks(labels: Vector, probability: Vector) -> float:
    false_positive, true_positive, _ = roc_curve(labels, probability)
    return float(np.max(true_positive - false_positive))


def _counts(group: npt.NDArray[np.int64], weights: Vector, groups: int) -> Vector:
    return np.bincount(group, weights, groups).astype(np.float64)


def gini_and_ks_of_counts(bad: Vector, good: Vector) -> tuple[float, float]:
    """Gini and KS of how many rows, with the event and without, have each probability, ascending; NaN without either.

    Counts may be weights or expectations.
    """
    bads, goods = bad.sum(), good.sum()
    if not bads or not goods:
        return np.nan, np.nan
    below = np.cumsum(good)
    beaten = float(bad @ (below - 0.5 * good))
    ks = float(np.max(below / goods - np.cumsum(bad) / bads))
    return 2 * beaten / (bads * goods) - 1, max(ks, 0.0)

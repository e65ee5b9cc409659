"""A candidate against the champion on the same rows: is it better beyond chance, and whom would it treat otherwise?"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from training.validation.rows import Vector


@dataclass(frozen=True, slots=True)
class SwapSet:
    """Rows that only one of the two models would select, at the same share selected: how many, and their event rate."""

    selected_share: float
    both: int
    only_candidate: int
    only_champion: int
    event_rate_both: float | None
    event_rate_only_candidate: float | None
    event_rate_only_champion: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Gini of both, the test of their difference (DeLong et al. 1988), the correlation of ranks, the swap set.

    ``p_value`` is two-sided: below 0.05, the difference is not chance.
    """

    champion_version: str
    candidate_gini: float
    champion_gini: float
    gini_difference: float
    z: float
    p_value: float
    rank_correlation: float
    swap_set: SwapSet


def comparison(
    labels: Vector, candidate: Vector, champion: Vector, *, version: str, selected_share: float, less_is_better: bool
) -> Comparison:
    """Compare probabilities ``(n,)`` of the two on the same rows."""
    aucs, covariance = delong(labels, np.array([candidate, champion]))
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    z = difference / np.sqrt(variance) if variance > 0 else 0.0
    return Comparison(
        champion_version=version,
        candidate_gini=float(2 * aucs[0] - 1),
        champion_gini=float(2 * aucs[1] - 1),
        gini_difference=2 * difference,
        z=float(z),
        p_value=float(2 * norm.sf(abs(z))),
        rank_correlation=float(np.corrcoef(rankdata(candidate), rankdata(champion))[0, 1]),
        swap_set=swap_set(labels, candidate, champion, selected_share, less_is_better=less_is_better),
    )


def delong(labels: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """AUCs ``(k,)`` of scores ``(k, n)`` and their covariance ``(k, k)`` (DeLong et al. 1988).

    By mid-ranks, in n log n (Sun and Xu 2014, equations 5 to 8).
    """
    bad = labels == 1
    bads, goods = int(bad.sum()), int((~bad).sum())
    among_all = np.array([rankdata(row) for row in scores])
    of_bad = among_all[:, bad] - np.array([rankdata(row[bad]) for row in scores])
    of_good = among_all[:, ~bad] - np.array([rankdata(row[~bad]) for row in scores])
    aucs = of_bad.mean(axis=1) / goods
    structural_bad, structural_good = of_bad / goods, 1.0 - of_good / bads
    covariance = np.atleast_2d(np.cov(structural_bad)) / bads + np.atleast_2d(np.cov(structural_good)) / goods
    return aucs, covariance


def swap_set(
    labels: Vector, candidate: Vector, champion: Vector, selected_share: float, *, less_is_better: bool
) -> SwapSet:
    """Whom each would select when both select the same number of rows."""
    number = round(selected_share * len(labels))
    sign = 1.0 if less_is_better else -1.0
    chosen = np.zeros((2, len(labels)), np.bool_)
    for place, probability in enumerate((candidate, champion)):
        chosen[place, np.argsort(sign * probability, kind="stable")[:number]] = True
    both, one, other = chosen[0] & chosen[1], chosen[0] & ~chosen[1], chosen[1] & ~chosen[0]
    return SwapSet(
        selected_share, int(both.sum()), int(one.sum()), int(other.sum()), _rate(labels[both]), _rate(labels[one]),
        _rate(labels[other]),
    )  # fmt: skip


def _rate(labels: Vector) -> float | None:
    return float(labels.mean()) if len(labels) else None

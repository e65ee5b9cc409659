"""The best set of sources under a budget, solved exactly by HiGHS, which SciPy brings along."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


def best_combination(
    gains: Mapping[str, float],
    pair_gains: Mapping[frozenset[str], float],
    costs: Mapping[str, float],
    budget: float,
    *,
    least_gain: float = 0.0,
) -> list[str]:
    """The set of sources with the largest gain whose costs are within ``budget``; the cheaper one of two that tie.

    The gain of a set is taken to second order: what each source brings alone, plus for each pair what the two bring
    together beyond that (below zero where they tell the same). With ``x`` the choice of sources and ``y`` of pairs::

        max  Σ gᵢ xᵢ + Σ (gᵢⱼ − gᵢ − gⱼ) yᵢⱼ   with  Σ cᵢ xᵢ ≤ budget,  yᵢⱼ = xᵢ xⱼ

    Args:
        gains: what each source brings alone.
        pair_gains: what each two bring together; a pair that is left out brings the sum of both.
        costs: of each source, not negative.
        budget: of all.
        least_gain: what each source must bring to be worth the trouble.

    Returns:
        The names of the chosen sources, sorted; none where nothing is worth its cost.
    """
    names = sorted(gains)
    pairs = [pair for pair in combinations(range(len(names)), 2) if _pair(names, pair) in pair_gains]
    width = len(names) + len(pairs)
    # The cost breaks ties, and is too small to decide anything else.
    total = sum(costs[name] for name in names) or 1.0
    worth = np.zeros(width)
    worth[: len(names)] = [gains[name] - least_gain - 1e-9 * costs[name] / total for name in names]
    limits = [[costs[name] for name in names] + [0.0] * len(pairs)]
    upper = [budget]
    for number, (a, b) in enumerate(pairs, len(names)):
        worth[number] = pair_gains[_pair(names, (a, b))] - gains[names[a]] - gains[names[b]]
        for rule, most in (({number: 1, a: -1}, 0), ({number: 1, b: -1}, 0), ({a: 1, b: 1, number: -1}, 1)):
            row = np.zeros(width)
            row[list(rule)] = list(rule.values())
            limits.append(list(row))
            upper.append(most)
    found = milp(
        -worth, constraints=LinearConstraint(limits, ub=upper), integrality=np.ones(width), bounds=Bounds(0, 1)
    )
    return [name for name, taken in zip(names, found.x, strict=False) if taken > 0.5]


def _pair(names: Sequence[str], pair: tuple[int, int]) -> frozenset[str]:
    return frozenset(names[place] for place in pair)

"""The best set of sources under a budget, solved exactly (HiGHS)."""

from collections.abc import Mapping
from itertools import combinations

import highspy


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
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - its way
    # One thread: the same answer every time.
    solver.setOptionValue("threads", 1)
    chosen = {name: solver.addBinary() for name in names}
    # The cost breaks ties, and is too small to decide anything else.
    total = sum(costs[name] for name in names) or 1.0
    objective = sum((gains[name] - least_gain - 1e-9 * costs[name] / total) * chosen[name] for name in names)
    for pair in combinations(names, 2):
        together = pair_gains.get(frozenset(pair))
        if together is None:
            continue
        both = solver.addBinary()
        for name in pair:
            solver.addConstr(both <= chosen[name])
        solver.addConstr(both >= chosen[pair[0]] + chosen[pair[1]] - 1)
        objective = objective + (together - gains[pair[0]] - gains[pair[1]]) * both
    solver.addConstr(sum(costs[name] * chosen[name] for name in names) <= budget)
    solver.maximize(objective)
    return [name for name in names if solver.variableValue(chosen[name]) > 0.5]

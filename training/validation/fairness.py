"""Whether groups that the law protects are chosen alike: selection rates and, of those who deserved it, how many."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, count, selection_rate, true_positive_rate

from training.model import Task
from training.validation.rows import ScoredRows, Texts

Integers = npt.NDArray[np.int64]

_LEAST_ROWS: Final = 100
"""Smaller groups are shown but not judged: chance would."""


@dataclass(frozen=True, slots=True)
class GroupFairness:
    """One group: its size, the share of it that is selected, and the share of its deserving that is."""

    group: str
    rows: int
    event_rate: float
    mean_probability: float
    selection_rate: float
    true_positive_rate: float
    judged: bool


@dataclass(frozen=True, slots=True)
class Fairness:
    """One protected attribute.

    Attributes:
        selection_ratio: the lowest selection rate over the highest. Below four fifths, 29 CFR 1607.4 D presumes
            adverse impact.
        opportunity_gap: the largest difference of the shares of the deserving that are selected (equal opportunity,
            Hardt, Price and Srebro 2016).
    """

    attribute: str
    groups: tuple[GroupFairness, ...]
    selection_ratio: float
    opportunity_gap: float


def fairness(scored: ScoredRows, selected_share: float, task: Task) -> tuple[Fairness, ...]:
    """Each protected attribute, when ``selected_share`` of all rows is selected.

    For credit the least risky are selected and those deserve it who did not default; for a response the likeliest are,
    and those who responded do.
    """
    better = -scored.probability if task == "credit" else scored.probability
    cut = np.quantile(better, 1 - selected_share)
    selected = (better >= cut).astype(np.int64)
    deserving = (scored.labels == 0 if task == "credit" else scored.labels == 1).astype(np.int64)
    return tuple(
        found
        for name, groups in scored.protected.items()
        if (found := _attribute(name, groups, scored, selected, deserving)) is not None
    )


def _attribute(name: str, of: Texts, scored: ScoredRows, selected: Integers, deserving: Integers) -> Fairness | None:
    known = of != ""
    if len(np.unique(of[known])) < 2:
        return None
    frame = MetricFrame(
        metrics={"rows": count, "selected": selection_rate, "reached": true_positive_rate},
        y_true=deserving[known],
        y_pred=selected[known],
        sensitive_features=of[known],
    )
    members = tuple(
        GroupFairness(
            group=str(group),
            rows=int(row["rows"]),
            event_rate=float(scored.labels[of == group].mean()),
            mean_probability=float(scored.probability[of == group].mean()),
            selection_rate=float(row["selected"]),
            true_positive_rate=float(row["reached"]),
            judged=bool(row["rows"] >= _LEAST_ROWS),
        )
        for group, row in frame.by_group.iterrows()
    )
    judged = [member for member in members if member.judged]
    if len(judged) < 2:
        return Fairness(name, members, 1.0, 0.0)
    rates = [member.selection_rate for member in judged]
    reached = [member.true_positive_rate for member in judged]
    highest = max(rates)
    return Fairness(name, members, min(rates) / highest if highest else 1.0, max(reached) - min(reached))

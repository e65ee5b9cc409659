"""What a committee is shown of a model of uplift: does contacting the best first win more than contacting anybody?"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.amounts import AmountEvidence, EvidenceTable
from training.amounts.evidence import evidence_of
from training.uplift.qini import qini, qini_curve
from training.validation.pictures import bars_of_groups, curves

Vector = npt.NDArray[np.float64]

_DRAWS: Final = 200
_FIFTHS: Final = 5
_SEED: Final = 20_260_101


def uplift_evidence(
    predicted: Vector,
    took_up: Vector,
    treated: Vector,
    *,
    learner: str,
    chosen_by: Mapping[str, float],
    warnings: Sequence[str] = (),
) -> AmountEvidence:
    """Judge uplifts ``(n,)`` on the latest campaigns.

    Args:
        predicted: what a contact was expected to add to the probability of a purchase.
        took_up: 1 for whoever bought.
        treated: 1 for whoever was contacted, 0 for whoever was held out.
        learner: whose it is.
        chosen_by: every learner's Qini on the campaigns that were chosen by.
        warnings: sentences on the data.
    """
    low, high = _qini_interval(predicted, took_up, treated)
    fifths = [_Group(predicted[rows], took_up[rows], treated[rows]) for rows in _fifths(predicted)]
    best = fifths[-1]
    figures = {
        "qini": qini(predicted, took_up, treated),
        "qini_low": low,
        "qini_high": high,
        "uplift": _Group(predicted, took_up, treated).seen,
        "uplift_of_best_fifth": best.seen,
        "uplift_of_best_fifth_low": best.seen - 1.96 * best.error,
        "contacted": float(treated.sum()),
        "held_out": float((1 - treated).sum()),
    }
    names = [f"{number + 1}/{_FIFTHS}" for number in range(_FIFTHS)]
    share, gained, by_chance = qini_curve(predicted, took_up, treated)
    pictures = {
        "qini": curves(
            "Purchases caused, the highest uplift first", "share of customers contacted", "purchases a customer",
            {"the model": (share, gained), "at random": (share, by_chance)},
        ),
        "fifths": bars_of_groups(
            "Uplift expected and seen, by fifths of the expectation", "uplift", names,
            {"expected": [one.expected for one in fifths], "seen": [one.seen for one in fifths]},
        ),
    }  # fmt: skip
    tables = [_by_fifths(names, fifths), _learners(learner, chosen_by)]
    return evidence_of("uplift", figures, tables, pictures, warnings)


class _Group:
    """The uplift of a group: expected, seen, and the standard error of what was seen."""

    def __init__(self, predicted: Vector, took_up: Vector, treated: Vector) -> None:
        self.rows = len(predicted)
        self.expected = float(predicted.mean())
        contacted, held_out = took_up[treated == 1], took_up[treated == 0]
        self.contacted, self.held_out = len(contacted), len(held_out)
        rates = [float(side.mean()) if len(side) else float("nan") for side in (contacted, held_out)]
        self.seen = rates[0] - rates[1]
        sizes = (self.contacted, self.held_out)
        variances = (rate * (1 - rate) / max(size, 1) for rate, size in zip(rates, sizes, strict=True))
        self.error = float(np.sqrt(sum(variances)))


def _fifths(predicted: Vector) -> list[npt.NDArray[np.int64]]:
    return list(np.array_split(np.argsort(predicted, kind="stable"), _FIFTHS))


def _qini_interval(predicted: Vector, took_up: Vector, treated: Vector) -> tuple[float, float]:
    """The 95 % interval of the Qini over bootstrap draws of the contacted and, separately, of those held out."""
    rng = np.random.default_rng(_SEED)
    sides = [np.flatnonzero(treated == side) for side in (1, 0)]
    found = []
    for _ in range(_DRAWS):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        found.append(qini(predicted[rows], took_up[rows], treated[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _by_fifths(names: Sequence[str], fifths: Sequence[_Group]) -> EvidenceTable:
    head = (
        "五分位 · fifth",
        "联系 · contacted",
        "留存 · held out",
        "预期增量 · expected",
        "实际增量 · seen",
        "± 1.96 s.e.",
    )
    rows = tuple(
        (
            name, f"{one.contacted:,}", f"{one.held_out:,}", f"{one.expected:.2%}", f"{one.seen:.2%}",
            f"{1.96 * one.error:.2%}",
        )
        for name, one in zip(names, fifths, strict=True)
    )  # fmt: skip
    return EvidenceTable("按预期增量五分位", "By fifths of the expected uplift, on the latest campaigns", head, rows)


def _learners(chosen: str, chosen_by: Mapping[str, float]) -> EvidenceTable:
    rows = tuple(
        (f"{name}{' ●' if name == chosen else ''}", f"{figure:.4f}")
        for name, figure in sorted(chosen_by.items(), key=lambda one: -one[1])
    )
    return EvidenceTable(
        "方法选择", "Which learner, by its Qini on the campaigns before the latest", ("方法 · learner", "Qini"), rows
    )  # fmt: skip

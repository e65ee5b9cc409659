"""What a committee is shown of a model of amounts, and what the limits say to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.validation.limits import JudgedTask, Verdict, judged, limits_sha256, read_limits
from training.validation.pictures import Picture, bars_of_groups

Vector = npt.NDArray[np.float64]

_BANDS: Final = 10


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """A table of the report: titles in Chinese and English, heads and rows as they are shown."""

    zh: str
    en: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class AmountEvidence:
    """Figures, those that limits are put on among them; tables and pictures; the verdicts."""

    judged_as: JudgedTask
    figures: Mapping[str, float]
    tables: tuple[EvidenceTable, ...]
    pictures: Mapping[str, Picture]
    verdicts: tuple[Verdict, ...]
    limits_sha256: str
    warnings: tuple[str, ...] = field(default=())

    @property
    def unmet(self) -> list[Verdict]:
        """The hard limits that are not met."""
        return [verdict for verdict in self.verdicts if verdict.hard and not verdict.met]

    @property
    def may_become_champion(self) -> bool:
        """Whether every hard limit is met."""
        return not self.unmet

    def as_json(self) -> dict[str, Any]:
        """All of it but the pictures as JSON values."""
        return {
            "figures": dict(self.figures),
            "tables": [
                {"zh": one.zh, "en": one.en, "head": list(one.head), "rows": [list(row) for row in one.rows]}
                for one in self.tables
            ],
            "verdicts": [
                {"measure": one.measure, "figure": one.figure, "wanted": one.wanted, "hard": one.hard, "met": one.met}
                for one in self.verdicts
            ],
            "limits_sha256": self.limits_sha256,
            "warnings": list(self.warnings),
            "may_become_champion": self.may_become_champion,
        }


def evidence_of(
    judged_as: JudgedTask,
    figures: Mapping[str, float],
    tables: Sequence[EvidenceTable],
    pictures: Mapping[str, Picture],
    warnings: Sequence[str] = (),
) -> AmountEvidence:
    """Hold the figures against the limits."""
    verdicts = judged(figures, read_limits(), judged_as)
    return AmountEvidence(
        judged_as, figures, tuple(tables), pictures, verdicts, limits_sha256(), tuple(warnings)
    )  # fmt: skip


def amount_evidence(
    predicted: Vector, actual: Vector, training_mean: float, *, unit: str, warnings: Sequence[str] = ()
) -> AmountEvidence:
    """How near amounts ``(n,)`` of the test came to what became of its rows."""
    figures = {
        "rank_gini": rank_gini(predicted, actual),
        "mean_over_actual": float(predicted.mean() / actual.mean()) if actual.mean() else float("nan"),
        "error_over_naive": float(((predicted - actual) ** 2).mean() / ((training_mean - actual) ** 2).mean()),
        "mean_absolute_error": float(np.abs(predicted - actual).mean()),
        "mean_predicted": float(predicted.mean()),
        "mean_actual": float(actual.mean()),
        "test_rows": float(len(actual)),
    }
    bands = [band for band in np.array_split(np.argsort(predicted, kind="stable"), _BANDS) if len(band)]
    means = [(float(predicted[band].mean()), float(actual[band].mean())) for band in bands]
    rows = tuple(
        (str(number + 1), f"{len(band):,}", _shown(one[0], unit), _shown(one[1], unit))
        for number, (band, one) in enumerate(zip(bands, means, strict=True))
    )
    head = ("十分位 · tenth", "样本 · rows", f"预测 · predicted, {unit}", f"实际 · actual, {unit}")
    table = EvidenceTable("按预测值十分位", "By tenths of the prediction, on the test", head, rows)
    names = [row[0] for row in rows]
    picture = bars_of_groups(
        "Predicted and actual, by tenths of the prediction", unit, names,
        {"predicted": [one[0] for one in means], "actual": [one[1] for one in means]},
    )  # fmt: skip
    return evidence_of("amount", figures, [table], {"tenths": picture}, warnings)


def rank_gini(predicted: Vector, actual: Vector) -> float:
    """The Gini of the actual amounts in the order of the predicted, over that in their own order: 1 is hindsight."""
    most = _concentration(actual, actual)
    return _concentration(predicted, actual) / most if most else 0.0


def _concentration(order: Vector, amounts: Vector) -> float:
    if not amounts.sum():
        return 0.0
    cumulative = np.cumsum(amounts[np.argsort(-order, kind="stable")]) / amounts.sum()
    share = np.arange(1, len(amounts) + 1) / len(amounts)
    return float(2 * np.mean(cumulative - share))


def _shown(value: float, unit: str) -> str:
    return f"{value:,.0f}" if unit == "CNY" else f"{value:.3f}"

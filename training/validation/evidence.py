"""All of a model's evidence: measured, probed, compared, and held against the limits."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.model import ScoringModel, Task
from training.quick import quick_learner
from training.scale import MASTER_SCALE
from training.validation.comparison import Comparison, comparison
from training.validation.discrimination import (
    Interval,
    PartPerformance,
    Performance,
    by_segment,
    cap_curve,
    gini_and_ks_intervals,
    performance,
)
from training.validation.fairness import Fairness, fairness
from training.validation.grading import Grading, grading
from training.validation.importance import FeatureWeight, PartialDependence, feature_weights, partial_dependence
from training.validation.leakage import Leakage, leakage
from training.validation.limits import Limits, Verdict, judged, limits_sha256, read_limits
from training.validation.reliability import Reliability, reliability
from training.validation.rows import ScoredRows, Vector
from training.validation.sensitivity import FeatureSensitivity, sensitivity
from training.validation.stability import Stability, stability

_LOOKED_AT: Final = 12
"""Features whose dependence and sensitivity are shown: the heaviest."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """Another kind of model on the same rows, for what the complexity buys."""

    name: str
    test: Performance
    gini_difference: float
    p_value: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """What a committee is shown of a model, and what the limits say to it.

    ``figures`` are those that limits may be put on. ``warnings`` are sentences on the data that it was trained on.
    """

    task: Task
    fit: Performance
    test: Performance
    gini: Interval
    ks: Interval
    cap: npt.NDArray[np.float64]
    segments: Mapping[str, tuple[PartPerformance, ...]]
    reliability: Reliability
    grading: Grading
    stability: Stability
    leakage: Leakage
    sensitivity: tuple[FeatureSensitivity, ...]
    fairness: tuple[Fairness, ...]
    weights: tuple[FeatureWeight, ...]
    dependence: tuple[PartialDependence, ...]
    champion: Comparison | None
    challengers: tuple[Challenger, ...]
    figures: Mapping[str, float]
    verdicts: tuple[Verdict, ...]
    limits_sha256: str
    warnings: tuple[str, ...]

    @property
    def may_become_champion(self) -> bool:
        """Whether every hard limit is met."""
        return not self.unmet

    @property
    def unmet(self) -> list[Verdict]:
        """The hard limits that are not met."""
        return [verdict for verdict in self.verdicts if verdict.hard and not verdict.met]

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        content = asdict(self)
        content["cap"] = np.round(self.cap, 6).tolist()
        return content | {"may_become_champion": self.may_become_champion}


@dataclass(frozen=True, slots=True)
class Rival:
    """The champion's version and what it says of the test's rows."""

    version: str
    probability: Vector


def validate(
    model: ScoringModel,
    fit: ScoredRows,
    test: ScoredRows,
    *,
    threads: int,
    champion: Rival | None = None,
    challengers: tuple[Challenger, ...] = (),
    warnings: tuple[str, ...] = (),
    limits: Limits | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Validation:
    """Judge a model on the test rows. Both classes must occur in both.

    Args:
        model: the model.
        fit: the rows it was trained on, as it scores them.
        test: rows it never saw, as it scores them.
        threads: for the quick models of the probes.
        champion: what the model would replace.
        challengers: other kinds of model on the same rows.
        warnings: on the data, from whoever read them.
        limits: what to judge by; the reviewed file if None.
        progress: is told the share that is done.
    """
    limits = limits or read_limits()
    weights = feature_weights(model, test.rows)
    progress(0.2)
    heaviest = [weight.feature for weight in weights[:_LOOKED_AT] if weight.mean_absolute_shap > 0]
    probes = leakage(fit, test, model.features, quick_learner(threads))
    progress(0.6)
    gini, ks = gini_and_ks_intervals(test.labels, test.probability)
    reliable = reliability(test.labels, test.probability, MASTER_SCALE)
    parts: dict[str, Any] = {
        "fit": performance(fit.labels, fit.probability),
        "test": performance(test.labels, test.probability),
        "gini": gini,
        "ks": ks,
        "reliability": reliable,
        "grading": grading(reliable.grades, test.rows_of_a_party),
        "stability": stability(fit, test, model.features),
        "leakage": probes,
        "fairness": fairness(test, limits.share(model.task), model.task),
        "champion": None
        if champion is None
        else comparison(
            test.labels, test.probability, champion.probability, version=champion.version,
            selected_share=limits.share(model.task), less_is_better=model.task == "credit",
        ),
    }  # fmt: skip
    progress(0.8)
    figures = _figures(parts)
    return Validation(
        task=model.task,
        cap=cap_curve(test.labels, test.probability),
        segments=by_segment(test),
        sensitivity=sensitivity(
            test.rows, model.features, [model.features.index(name) for name in heaviest], model.probability
        ),
        weights=weights,
        dependence=partial_dependence(model, test.rows, heaviest),
        challengers=challengers,
        figures=figures,
        verdicts=judged(figures, limits, model.task),
        limits_sha256=limits_sha256(),
        warnings=warnings,
        **parts,
    )


def _figures(parts: Mapping[str, Any]) -> dict[str, float]:
    fit, test, probes = parts["fit"], parts["test"], parts["leakage"]
    figures = {
        "test_gini": test.gini,
        "test_gini_low": parts["gini"].low,
        "gini_lost_on_test": fit.gini - test.gini,
        "mean_over_rate": parts["reliability"].ratio,
        "calibration_slope": parts["reliability"].slope,
        "red_grades": float(sum(grade.light == "red" for grade in parts["reliability"].grades)),
        "grade_inversions": float(parts["grading"].inversions),
        "largest_grade_share": parts["grading"].largest_share,
        "score_psi": parts["stability"].score_psi,
        "largest_csi": max((one.csi for one in parts["stability"].features), default=0.0),
        "best_single_auc": max((max(one.auc, one.missing_auc) for one in probes.strongest), default=0.5),
        "permuted_auc": probes.permuted_auc,
    }
    if probes.backward_auc is not None:
        figures["backward_gain"] = probes.backward_auc - probes.forward_auc
    for found in parts["fairness"]:
        figures[f"selection_ratio_{found.attribute}"] = found.selection_ratio
        figures[f"opportunity_gap_{found.attribute}"] = found.opportunity_gap
    if parts["champion"] is not None:
        figures["gini_less_champions"] = parts["champion"].gini_difference
    return figures

"""A model for each segment of the group's lending, that borrows from the pooled one what it cannot know by itself.

A segment is a company, a product family and a kind of customer. Its trees go on where the pooled model's end, and are
grown on the segment's own rows from scores that the pooled model gave without having seen them; how many there are is
decided on folds, and may be none. Its level of risk is its own to the extent that its defaults can tell it from the
pooled model's: the log-ratios of observed to expected rates are shrunk by their variance (empirical Bayes, with the
variance between segments after DerSimonian and Laird 1986).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import lightgbm as lgb
import numpy as np
import polars as pl

from features import risk_directions
from training.calibrating import CalibrationChoice, moved_to
from training.candidates import Candidate
from training.credit import CreditFrame, Origin, credit_training_rows, judged_candidate
from training.frames import PARTY_FOLDS, long_run_default_rate
from training.growth import BoosterParameters, Grown, Growth, TrainingRows, Vector, losses, unseen_scores
from training.inputs import numbers
from training.model import MODEL_NAME, ScoringModel

_LEAST_TRAINING_DEFAULTS: Final = 100
_LEAST_TEST_DEFAULTS: Final = 10
_STANDARD_ERRORS: Final = 2.0

SEGMENT_PARAMETERS: Final = BoosterParameters(
    learning_rate=0.02, num_leaves=4, min_data_in_leaf=200, lambda_l2=20.0, max_trees=400, stop_after=40
)
"""What a segment adds is small beside what all segments share: few leaves, slowly."""

_KEYS: Final = ("legal_entity", "product", "kind")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """Customers of a kind (person, enterprise) of a company with one family of products."""

    legal_entity: str
    product: str
    kind: str

    @property
    def model_name(self) -> str:
        """The name that its model is registered by."""
        parts = (re.sub(r"[^A-Za-z0-9_]+", "_", part) for part in (self.legal_entity, self.product, self.kind) if part)
        return "-".join([MODEL_NAME, *parts])

    def __str__(self) -> str:
        return " · ".join(part or "—" for part in (self.legal_entity, self.product, self.kind))


@dataclass(frozen=True)
class Pooled:
    """The model of all segments.

    Attributes:
        version: of the registered model.
        model: it.
        unseen: ``legal_entity, party_id, event_timestamp, raw_score``: what trees that never saw a training row gave
            it.
    """

    version: str
    model: ScoringModel
    unseen: pl.DataFrame


@dataclass(frozen=True)
class SegmentPlan:
    """What a segment's model is made from.

    Attributes:
        segment: which.
        frame: its rows.
        base: the pooled model's raw scores of its training rows, unseen.
        default_rate: what the mean probability of its training rows is to be.
    """

    segment: Segment
    frame: CreditFrame
    base: Vector
    default_rate: float

    @property
    def rows(self) -> int:
        """Training rows."""
        return len(self.base)


@dataclass(frozen=True)
class SmallSegment:
    """A segment without a model of its own: the pooled one serves it."""

    segment: Segment
    training_defaults: int
    test_defaults: int


def segment_plans(frame: CreditFrame, pooled: Pooled) -> tuple[list[SegmentPlan], list[SmallSegment]]:
    """Divide the frame into segments, and say which of them can have a model.

    Its own model takes 100 defaults in training, some in each fold, and 10 on the test; the other segments still
    count where the pooled model's trees were grown.
    """
    keys = ["legal_entity", "party_id", "event_timestamp"]
    scored = frame.rows.join(pooled.unseen, on=keys, how="left", maintain_order="left")
    plans: list[SegmentPlan] = []
    small: list[SmallSegment] = []
    for values, rows in sorted(scored.partition_by(*_KEYS, as_dict=True, maintain_order=True).items()):
        segment = Segment(*(str(value) for value in values))
        train, test = rows.filter(pl.col("fold") == "train"), rows.filter(pl.col("fold") == "test")
        defaults, tested = int(train["defaulted"].sum()), int(test["defaulted"].sum())
        folds = train.filter("defaulted")["party_fold"].n_unique()
        if defaults < _LEAST_TRAINING_DEFAULTS or tested < _LEAST_TEST_DEFAULTS or folds < PARTY_FOLDS:
            small.append(SmallSegment(segment, defaults, tested))
            continue
        own = replace(frame, rows=rows.drop("raw_score"))
        plans.append(SegmentPlan(segment, own, train["raw_score"].to_numpy(), long_run_default_rate(train)))
    return (_with_credible_rates(plans, pooled.model) if plans else []), small


def _with_credible_rates(plans: Sequence[SegmentPlan], pooled: ScoringModel) -> list[SegmentPlan]:
    expected = np.array([float(pooled.calibration.probability(plan.base).mean()) for plan in plans])
    observed = np.array([plan.default_rate for plan in plans])
    defaults = np.array([int(plan.frame.fold("train")["defaulted"].sum()) for plan in plans])
    rates = credible_rates(observed, expected, defaults)
    return [replace(plan, default_rate=float(rate)) for plan, rate in zip(plans, rates, strict=True)]


def credible_rates(observed: Vector, expected: Vector, defaults: Vector) -> Vector:
    """Default rates ``(n,)`` between those observed and those expected, nearer to the observed with more defaults.

    A log-ratio of the two has a variance of about one over the defaults. What its spread over segments exceeds that
    by is real (the moment estimator of DerSimonian and Laird), and is kept.
    """
    ratio = np.log(observed / expected)
    within = 1.0 / defaults
    weights = 1.0 / within
    mean = float(np.average(ratio, weights=weights))
    excess = float(weights @ (ratio - mean) ** 2) - (len(ratio) - 1)
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    # Towards the pooled model, not towards the mean of the ratios: that model is right over all segments.
    return np.asarray(expected * np.exp(ratio * between / (between + within)))


def train_segment_candidate(
    plan: SegmentPlan,
    pooled: Pooled,
    origin: Origin,
    *,
    threads: int,
    growth: Growth,
    parameters: BoosterParameters = SEGMENT_PARAMETERS,
    champion: tuple[str, ScoringModel] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Candidate:
    """Grow a segment's model on the pooled one, and judge it on the segment's test rows beside that one.

    ``origin.name`` is replaced by the segment's; ``champion`` is the segment's.
    """
    training = replace(credit_training_rows(plan.frame), base=plan.base)
    parameters = replace(parameters, min_data_in_leaf=min(parameters.min_data_in_leaf, max(20, plan.rows // 20)))
    grown = grown_segment(plan, training, pooled.model, parameters, threads=threads, growth=growth)
    progress(0.4)
    own = replace(
        origin, name=plan.segment.model_name, population=f"{origin.population}, of the segment {plan.segment}"
    )  # fmt: skip
    return judged_candidate(
        plan.frame, training, grown, parameters, own, threads=threads, champion=champion,
        beside=(f"合并模型 · pooled model, version {pooled.version}", pooled.model),
        progress=lambda share: progress(0.4 + 0.6 * share),
    )  # fmt: skip


def grown_segment(
    plan: SegmentPlan,
    training: TrainingRows,
    pooled: ScoringModel,
    parameters: BoosterParameters,
    *,
    threads: int,
    growth: Growth,
) -> Grown:
    """The pooled trees and after them those of the segment, with the segment's own level of risk."""
    directions = risk_directions(list(plan.frame.features))
    lightgbm = parameters.for_lightgbm(directions, threads, graded=training.targets is not None)
    folds = growth.on_folds(training, lightgbm, parameters)
    trees = round(sum(fold.trees for fold in folds) / len(folds))
    booster, unseen = pooled.booster, unseen_scores(training, folds)
    if trees and is_better(training, unseen, plan.frame.fold("train")["party_id"]):
        booster = joined(booster, growth.on_all(training, lightgbm, trees))
    else:
        unseen = plan.base
    calibration = moved_to(pooled.calibration, unseen, np.ones(len(unseen)), plan.default_rate)
    model = ScoringModel(booster, numbers(plan.frame.features), calibration)
    by_fold = tuple(pooled.booster.num_trees() + fold.trees for fold in folds)
    return Grown(model, CalibrationChoice(calibration, {}), unseen, by_fold)


def is_better(training: TrainingRows, raw_scores: Vector, party_ids: pl.Series) -> bool:
    """Whether scores lower the loss of the base by more than twice its standard error; a party's rows go together.

    Each fold chose for itself how many trees it likes best, so that a gain within the error is most likely none.
    """
    base = np.zeros(len(raw_scores)) if training.base is None else training.base
    gain = losses(training, base) - losses(training, raw_scores)
    by_party = pl.DataFrame({"party": party_ids, "gain": gain}).group_by("party").agg(pl.col("gain").sum())["gain"]
    gains = by_party.to_numpy()
    return bool(gains.sum() > _STANDARD_ERRORS * np.sqrt(((gains - gains.mean()) ** 2).sum()))


def joined(first: lgb.Booster, second: lgb.Booster) -> lgb.Booster:
    """A booster whose raw scores are the sums of both. They must read the same features.

    LightGBM joins boosters only where it goes on growing one from its own predictions; in its text, an ensemble is a
    head, the trees and a tail.
    """
    texts = [booster.model_to_string(num_iteration=-1) for booster in (first, second)]
    head, trees, tail = _taken_apart(texts[0])
    trees += _taken_apart(texts[1])[1]
    numbered = [re.sub(r"^Tree=\d+", f"Tree={place}", tree) for place, tree in enumerate(trees)]
    sizes = " ".join(str(len(tree.encode())) for tree in numbered)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE)
    return lgb.Booster(model_str=head + "".join(numbered) + tail)


def _taken_apart(text: str) -> tuple[str, list[str], str]:
    first, end = text.index("Tree=0\n"), text.index("end of trees")
    return text[:first], re.split(r"(?m)^(?=Tree=\d+$)", text[first:end])[1:], text[end:]

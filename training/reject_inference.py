"""Reject inference: a model of all who apply, although only those who were granted show what became of them.

Both ways begin with a model of the granted and say of each declined applicant how it would have turned out; with the
declined among its rows the model is grown again. Neither can know what the granted do not show: ``prudence`` is by how
much worse the declined are taken to be than granted ones who look alike (Siddiqi 2017, chapter 6).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from features import risk_directions
from training.applications import ApplicationFrame
from training.candidates import Candidate
from training.credit import CreditFrame, Origin, credit_training_rows, judged_candidate
from training.frames import matrix
from training.growth import BoosterParameters, Grown, Growth, Matrix, TrainingRows, Vector, grown_model
from training.inputs import numbers
from training.model import ScoringModel
from training.validation import performance

APPLICATION_MODEL: Final = "application_pd"

Method = Literal["ignored", "fuzzy", "parcelling"]
METHODS: Final[tuple[Method, ...]] = ("ignored", "fuzzy", "parcelling")

APPLICATION_PARAMETERS: Final = BoosterParameters(num_leaves=4, min_data_in_leaf=60, lambda_l2=20.0)

_PARCELS: Final = 10


@dataclass(frozen=True, slots=True)
class RejectBias:
    """What a method leaves: its mean PD of the declined over the true one, and its Ginis.

    ``ratio`` of 1 is no bias, below 1 the declined are taken for safer than they are. ``declined_gini`` is on the
    outcomes that the declined would have had; both are None where nobody knows these.
    """

    method: Method
    prudence: float
    mean_pd_of_declined: float
    granted_gini: float
    ratio: float | None
    declined_gini: float | None


@dataclass(frozen=True)
class DeclinedTruth:
    """What only a simulation knows of the declined ``(n,)``: their PD, and whether they would have defaulted."""

    probability: Vector
    would_default: Vector


def with_declined(
    training: TrainingRows,
    declined: Matrix,
    folds: npt.NDArray[np.int64],
    granted_model: Grown,
    method: Method,
    prudence: float,
) -> TrainingRows:
    """The training rows with the declined among them.

    Fuzzy augmentation: each declined applicant twice, as a default with the weight of its PD and as none with the
    rest. Parcelling: the declined are put into ten bands by the scores of the granted, and of each band as many are
    taken for defaults as the granted of the band show, drawn at random.

    Args:
        training: of the granted.
        declined: features ``(n, k)``.
        folds: the declined applicants' folds, by party.
        granted_model: grown on ``training``.
        method: how.
        prudence: by what their PD is multiplied.
    """
    if method == "ignored":
        return training
    model = granted_model.model
    scores = model.raw_scores(declined)
    if method == "fuzzy":
        pd = np.minimum(prudence * model.calibration.probability(scores), 1.0)
        return _stacked(
            training, np.vstack([declined, declined]), np.repeat([1.0, 0.0], len(declined)),
            np.concatenate([folds, folds]), np.concatenate([pd, 1.0 - pd]),
        )  # fmt: skip
    edges = np.quantile(granted_model.unseen, np.linspace(0, 1, _PARCELS + 1)[1:-1])
    of_granted, of_declined = (np.searchsorted(edges, values) for values in (granted_model.unseen, scores))
    rng = np.random.default_rng(APPLICATION_PARAMETERS.seed)
    labels = np.zeros(len(declined))
    for band in range(_PARCELS):
        own = np.flatnonzero(of_declined == band)
        rate = min(1.0, prudence * float(training.labels[of_granted == band].mean()))
        labels[rng.permutation(own)[: round(rate * len(own))]] = 1.0
    return _stacked(training, declined, labels, folds, np.ones(len(declined)))


def _stacked(
    training: TrainingRows, rows: Matrix, labels: Vector, folds: npt.NDArray[np.int64], weights: Vector
) -> TrainingRows:
    own = np.ones(len(training.labels)) if training.weights is None else training.weights
    return TrainingRows(
        np.vstack([training.rows, rows]),
        np.concatenate([training.labels, labels]),
        np.concatenate([training.folds, folds]),
        weights=np.concatenate([own, weights]),
    )


def train_application_candidate(
    frame: ApplicationFrame,
    origin: Origin,
    method: Method,
    prudence: float,
    *,
    threads: int,
    growth: Growth,
    truth: DeclinedTruth | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[Candidate, tuple[RejectBias, ...]]:
    """Grow a model each way, judge the one that is asked for on granted applicants, and say what bias each leaves.

    The biases are of all methods, without prudence and with it.
    """
    directions = risk_directions(list(frame.features))
    granted = CreditFrame(frame.granted, frame.features, frame.split)
    training = credit_training_rows(granted)
    declined, folds = frame.declined_rows(), frame.declined["party_fold"].to_numpy()

    def grow(rows: TrainingRows) -> Grown:
        return grown_model(
            rows, numbers(frame.features), directions, APPLICATION_PARAMETERS, threads=threads, growth=growth
        )

    plain = grow(training)
    ways = [("ignored", 1.0), *((name, factor) for name in METHODS[1:] for factor in dict.fromkeys((1.0, prudence)))]
    grown: dict[tuple[str, float], Grown] = {("ignored", 1.0): plain}
    biases: list[RejectBias] = []
    for number, (name, factor) in enumerate(ways):
        way: Method = next(one for one in METHODS if one == name)
        if way != "ignored":
            grown[way, factor] = grow(with_declined(training, declined, folds, plain, way, factor))
        biases.append(_bias(way, factor, grown[way, factor].model, granted.fold("test"), frame, truth))
        progress(0.7 * (number + 1) / len(ways))
    chosen = grown[method, 1.0 if method == "ignored" else prudence]
    named = replace(
        origin, name=APPLICATION_MODEL,
        population=f"Applicants whom a company knew when they applied; the declined: {method}"
        + ("" if method == "ignored" else f", prudence {prudence:g}"),
    )  # fmt: skip
    # The granted alone show what came of them: trees and calibration know of the declined, the evidence is of these.
    own = Grown(chosen.model, chosen.calibration, chosen.unseen[: len(training.labels)], chosen.trees_by_fold)
    candidate = judged_candidate(
        granted, training, own, APPLICATION_PARAMETERS, named, threads=threads,
        beside=("忽略被拒申请 · the declined ignored", plain.model),
        progress=lambda share: progress(0.7 + 0.3 * share),
    )  # fmt: skip
    facts = {f"推断偏差 · bias, {_named(bias)}": _in_words(bias) for bias in biases}
    return replace(candidate, card=replace(candidate.card, facts=facts)), tuple(biases)


def _bias(
    method: Method,
    prudence: float,
    model: ScoringModel,
    test: pl.DataFrame,
    frame: ApplicationFrame,
    truth: DeclinedTruth | None,
) -> RejectBias:
    pd = model.probability(frame.declined_rows())
    tested = model.probability(matrix(test, frame.features))
    labels = test["defaulted"].cast(pl.Float64).to_numpy()
    return RejectBias(
        method=method,
        prudence=prudence,
        mean_pd_of_declined=float(pd.mean()),
        granted_gini=performance(labels, tested).gini,
        ratio=None if truth is None else float(pd.mean() / truth.probability.mean()),
        declined_gini=None if truth is None else performance(truth.would_default, pd).gini,
    )


def _named(bias: RejectBias) -> str:
    return bias.method if bias.method == "ignored" else f"{bias.method} × {bias.prudence:g}"


def _in_words(bias: RejectBias) -> str:
    known = (
        "" if bias.ratio is None else f", {bias.ratio:.2f} of the true one; Gini among them {bias.declined_gini:.3f}"
    )
    return f"mean PD of the declined {bias.mean_pd_of_declined:.2%}{known}; Gini of the granted {bias.granted_gini:.3f}"

"""The credit model of the group: from labelled parties to a candidate for the probability of default."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from feast import FeatureStore

from features import point_in_time_frame, risk_directions
from training.candidates import (
    Candidate,
    calibration_in_words,
    judged_model,
    rival_on,
    trees_in_words,
)
from training.frames import (
    Fold,
    Split,
    data_hash,
    labelled_population,
    labels,
    long_run_default_rate,
    matrix,
    products_held,
    severities,
    who_they_are,
    with_folds,
)
from training.growth import BoosterParameters, Grown, Growth, TrainingRows, grown_model
from training.inputs import numbers
from training.model import MODEL_NAME, ScoringModel
from training.provenance import git_commit, texts_sha256
from training.reference import reference_rows
from training.validation import ScoredRows
from training.validation.report import ModelCard

_EXAMPLE_ROWS: Final = 3


@dataclass(frozen=True)
class CreditFrame:
    """Labelled rows with their features as known at the time, and how they are divided.

    ``rows`` has ``legal_entity, party_id, event_timestamp, defaulted, severity, fold, party_fold``, then who the party
    was and what it held (``kind, sex, age_band, region, product``; no model reads these), then ``features`` in order.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    split: Split

    def fold(self, name: Fold) -> pl.DataFrame:
        """The rows of one fold."""
        return self.rows.filter(pl.col("fold") == name)


def credit_frame(
    store: FeatureStore,
    canonical: Path,
    instants: Sequence[datetime],
    features: Sequence[str],
    *,
    horizon_months: int,
    observed_until: datetime,
) -> CreditFrame:
    """Join what was known of each labelled party at each instant, through Feast.

    Raises:
        TooFewDefaults: the test or a training fold would hold fewer than 20 defaults.
    """
    population = labelled_population(canonical, instants, horizon_months, observed_until)
    divided, split = with_folds(population, horizon_months)
    used = divided.filter(pl.col("fold") != "unused")
    who = who_they_are(canonical, used).with_columns(products_held(canonical, used))
    return CreditFrame(point_in_time_frame(store, used.hstack(who)), tuple(features), split)


@dataclass(frozen=True)
class Origin:
    """For the record: where the data come from, who trains, and what the model is to be called."""

    source: str
    trained_by: str
    name: str = MODEL_NAME
    population: str = "Parties on a company's books and not in default at a month's start"


def train_credit_candidate(
    frame: CreditFrame,
    parameters: BoosterParameters,
    origin: Origin,
    *,
    threads: int,
    growth: Growth,
    champion: tuple[str, ScoringModel] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Candidate:
    """Train, judge on the test fold, and hold against the ``champion`` (its version and model) if there is one."""
    training = credit_training_rows(frame)
    grown = grown_model(
        training,
        numbers(frame.features),
        risk_directions(list(frame.features)),
        parameters,
        threads=threads,
        growth=growth,
        long_run_rate=long_run_default_rate(frame.fold("train")),
    )
    progress(0.5)
    return judged_candidate(
        frame,
        training,
        grown,
        parameters,
        origin,
        threads=threads,
        champion=champion,
        progress=lambda share: progress(0.5 + 0.5 * share),
    )


def credit_training_rows(frame: CreditFrame) -> TrainingRows:
    """The training fold as trees are grown on."""
    train = frame.fold("train")
    return TrainingRows(
        matrix(train, frame.features), labels(train), train["party_fold"].to_numpy(), severities(train)
    )  # fmt: skip


def judged_candidate(
    frame: CreditFrame,
    training: TrainingRows,
    grown: Grown,
    parameters: BoosterParameters,
    origin: Origin,
    *,
    threads: int,
    champion: tuple[str, ScoringModel] | None = None,
    beside: tuple[str, ScoringModel] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Candidate:
    """A grown model with all its evidence; ``beside`` is another model of the same features, by what it is called."""
    train, test = frame.fold("train"), frame.fold("test")
    fitted, tested = _scored(grown.model, train), _scored(grown.model, test)
    judged = judged_model(
        grown,
        training,
        risk_directions(list(frame.features)),
        fitted,
        tested,
        threads=threads,
        champion=rival_on(champion, test),
        beside=rival_on(beside, test),
        progress=progress,
    )
    key = ["legal_entity", "party_id", "event_timestamp", "defaulted"]
    return Candidate(
        name=origin.name,
        model=grown.model,
        parameters=parameters,
        validation=judged.validation,
        card=_card(frame, grown, parameters, origin),
        pictures=judged.pictures,
        example=train.select(frame.features).head(_EXAMPLE_ROWS).to_pandas(),
        test=test.select(*key, probability=pl.Series(tested.probability)),
        scorecard=judged.scorecard,
        tags={
            "split": frame.split.kind,
            "test_instants": ", ".join(f"{instant:%Y-%m-%d}" for instant in frame.split.test_instants),
        },
        unseen=train.select(*key[:3], raw_score=pl.Series(grown.unseen)),
        reference=reference_rows(
            pl.concat([train, test]),
            frame.features,
            "defaulted",
            np.concatenate([grown.model.calibration.probability(grown.unseen), tested.probability]),
        ),
    )


def _scored(model: ScoringModel, frame: pl.DataFrame) -> ScoredRows:
    rows = matrix(frame, model.features)
    return ScoredRows(
        rows,
        labels(frame),
        model.probability(rows),
        months=frame["event_timestamp"].dt.strftime("%Y-%m").to_numpy().astype(np.str_),
        segments={name: _texts(frame, name) for name in ("legal_entity", "kind", "product")},
        protected={name: _texts(frame, name) for name in ("sex", "age_band", "region")},
        parties=_texts(frame.select(party=pl.concat_str("legal_entity", "party_id", separator=" ")), "party"),
    )


def _texts(frame: pl.DataFrame, name: str) -> npt.NDArray[np.str_]:
    return frame[name].to_numpy().astype(np.str_)


def _card(frame: CreditFrame, grown: Grown, parameters: BoosterParameters, origin: Origin) -> ModelCard:
    booster, texts = grown.model.to_texts()
    instants = frame.split.train_instants
    between = f"{instants[0]:%Y-%m-%d} to {instants[-1]:%Y-%m-%d}" if len(instants) > 1 else f"{instants[0]:%Y-%m-%d}"
    tested = ", ".join(f"{instant:%Y-%m-%d}" for instant in frame.split.test_instants)
    return ModelCard(
        name=origin.name,
        task="credit",
        purpose_en="Probability that a party defaults with a company of the group within the horizon.",
        purpose_zh="集团客户在观察期内对某成员公司违约的概率。",
        data=origin.source,
        target="90 days past due, or what the company else records as a default, within the horizon",
        population=origin.population,
        split=f"{frame.split.kind}: trained at {between} ({len(instants)} instants); tested at {tested}",
        algorithm=trees_in_words(grown) + ", monotone where the feature catalogue says so",
        calibration=calibration_in_words(grown),
        trained_at=datetime.now(UTC),
        trained_by=origin.trained_by,
        data_sha256=data_hash(frame.rows),
        model_sha256=texts_sha256(booster, texts),
        code=git_commit(),
        seed=parameters.seed,
        not_for=("parties without any history in the group", "other horizons than that of the target"),
    )

"""From a labelled frame to a candidate: a trained, validated model with all that a committee asks about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import polars as pl
from feast import FeatureStore
from matplotlib.figure import Figure

from features import point_in_time_frame, risk_directions
from training.frames import (
    Fold,
    Split,
    data_hash,
    labelled_population,
    labels,
    long_run_default_rate,
    matrix,
    severities,
    with_folds,
)
from training.growth import BoosterParameters, Growth, TrainingRows, Vector, grown_model
from training.inputs import numbers
from training.model import ScoringModel
from training.plots import validation_plots
from training.validation import ScoredRows, Validation, validate_candidate

_EXAMPLE_ROWS = 3


@dataclass(frozen=True)
class CreditFrame:
    """Labelled rows with their features as known at the time, and how they are divided.

    ``rows`` has ``legal_entity, party_id, event_timestamp, defaulted, fold, party_fold``, then ``features`` in order.
    """

    rows: pl.DataFrame
    features: tuple[str, ...]
    split: Split

    def fold(self, name: Fold) -> pl.DataFrame:
        """The rows of one fold."""
        return self.rows.filter(pl.col("fold") == name)


@dataclass(frozen=True)
class Candidate:
    """A trained model with what the registry keeps of how it came about.

    ``example`` holds a few feature rows, for the signature and for whoever tries the model in MLflow.
    ``test_pd`` is the test fold's ``legal_entity, party_id, event_timestamp, defaulted, probability_of_default``.
    """

    model: ScoringModel
    parameters: BoosterParameters
    validation: Validation
    split: Split
    data_hash: str
    example: pd.DataFrame
    plots: Mapping[str, Figure]
    test_pd: pl.DataFrame


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
    return CreditFrame(point_in_time_frame(store, used), tuple(features), split)


def train_candidate(
    frame: CreditFrame,
    parameters: BoosterParameters,
    *,
    threads: int,
    growth: Growth,
    champion: ScoringModel | None = None,
) -> Candidate:
    """Train, judge on the test fold, and hold against ``champion`` if there is one."""
    train, test = frame.fold("train"), frame.fold("test")
    training = TrainingRows(
        matrix(train, frame.features), labels(train), train["party_fold"].to_numpy(), severities(train)
    )
    grown = grown_model(
        training,
        numbers(frame.features),
        risk_directions(list(frame.features)),
        parameters,
        threads=threads,
        growth=growth,
        long_run_rate=long_run_default_rate(train),
    )
    model = grown.model
    fitted = ScoredRows(training.rows, training.labels, model.probability(training.rows))
    test_rows = matrix(test, frame.features)
    tested = ScoredRows(test_rows, labels(test), model.probability(test_rows))
    validation = validate_candidate(
        fitted, tested, frame.features, champion_pd=_champion_pd(champion, test)
    )  # fmt: skip
    key = ["legal_entity", "party_id", "event_timestamp", "defaulted"]
    return Candidate(
        model=model,
        parameters=parameters,
        validation=validation,
        split=frame.split,
        data_hash=data_hash(frame.rows),
        example=train.select(frame.features).head(_EXAMPLE_ROWS).to_pandas(),
        plots=validation_plots(model, fitted, tested, validation),
        test_pd=test.select(*key, probability_of_default=pl.Series(tested.pd)),
    )


def _champion_pd(champion: ScoringModel | None, test: pl.DataFrame) -> Vector | None:
    # A champion that wants features which are no longer computed cannot be held against on these rows.
    if champion is None or not set(champion.features) <= set(test.columns):
        return None
    return champion.probability(matrix(test, champion.features))

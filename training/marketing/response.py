"""The probability that somebody who is contacted takes the product up."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from training.candidates import Candidate, calibration_in_words, judged_model, rival_on, trees_in_words
from training.credit import Origin
from training.frames import data_hash, matrix, who_they_are
from training.growth import BoosterParameters, Growth, TrainingRows, grown_model
from training.inputs import numbers
from training.model import ScoringModel
from training.provenance import git_commit, texts_sha256
from training.reference import reference_rows
from training.uplift import UpliftFrame
from training.validation import ScoredRows
from training.validation.report import ModelCard

RESPONSE_MODEL: Final = "response"

RESPONSE_PARAMETERS: Final = BoosterParameters(num_leaves=6, min_data_in_leaf=100, lambda_l2=20.0)

_EXAMPLE_ROWS: Final = 3
_KEYS: Final = ("legal_entity", "customer_id", "campaign_id", "event_timestamp")


def train_response_candidate(
    frame: UpliftFrame,
    canonical: Path,
    origin: Origin,
    *,
    threads: int,
    growth: Growth,
    champion: tuple[str, ScoringModel] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Candidate:
    """Train on the contacted of all campaigns but the latest, and judge on those of the latest."""
    contacted = frame.rows.filter("treated")
    train, test = contacted.filter(pl.col("part") != "test"), contacted.filter(pl.col("part") == "test")
    training = TrainingRows(matrix(train, frame.features), _took_up(train), train["fold"].to_numpy())
    directions = [0] * len(frame.features)
    grown = grown_model(
        training, numbers(frame.features), directions, RESPONSE_PARAMETERS, threads=threads, growth=growth,
        task="response",
    )  # fmt: skip
    progress(0.5)
    fitted, tested = (_scored(grown.model, rows, canonical) for rows in (train, test))
    judged = judged_model(
        grown, training, directions, fitted, tested, threads=threads, champion=rival_on(champion, test),
        progress=lambda share: progress(0.5 + 0.5 * share),
    )  # fmt: skip
    booster, texts = grown.model.to_texts()
    first, last = (_day(found) for found in (train["event_timestamp"].min(), train["event_timestamp"].max()))
    card = ModelCard(
        name=RESPONSE_MODEL,
        task="response",
        purpose_en="Probability that a customer takes up what a campaign offers, if contacted.",
        purpose_zh="客户被联系后接受营销产品的概率。",
        data=origin.source,
        target="the product was taken up after a contact",
        population="Customers whom a campaign contacted",
        split=f"out of time: trained on campaigns from {first} to {last}; tested on those after them",
        algorithm=trees_in_words(grown),
        calibration=calibration_in_words(grown),
        trained_at=datetime.now(UTC),
        trained_by=origin.trained_by,
        data_sha256=data_hash(contacted),
        model_sha256=texts_sha256(booster, texts),
        code=git_commit(),
        seed=RESPONSE_PARAMETERS.seed,
        not_for=("whom to contact: who would buy anyway answers best; the uplift model tells whom a contact moves",),
    )
    return Candidate(
        name=RESPONSE_MODEL,
        model=grown.model,
        parameters=RESPONSE_PARAMETERS,
        validation=judged.validation,
        card=card,
        pictures=judged.pictures,
        example=train.select(frame.features).head(_EXAMPLE_ROWS).to_pandas(),
        test=test.select(*_KEYS, "took_up", probability=pl.Series(tested.probability)),
        scorecard=judged.scorecard,
        tags={"split": "out_of_time"},
        reference=reference_rows(
            pl.concat([train.with_columns(fold=pl.lit("train")), test.with_columns(fold=pl.lit("test"))]),
            frame.features,
            "took_up",
            np.concatenate([grown.model.calibration.probability(grown.unseen), tested.probability]),
        ),
    )


def _scored(model: ScoringModel, frame: pl.DataFrame, canonical: Path) -> ScoredRows:
    rows = matrix(frame, model.features)
    who = who_they_are(canonical, frame)
    return ScoredRows(
        rows,
        _took_up(frame),
        model.probability(rows),
        months=frame["event_timestamp"].dt.strftime("%Y-%m").to_numpy().astype(np.str_),
        segments={
            "legal_entity": frame["legal_entity"].to_numpy().astype(np.str_),
            "kind": who["kind"].to_numpy().astype(np.str_),
        },
        protected={name: who[name].to_numpy().astype(np.str_) for name in ("sex", "age_band", "region")},
    )


def _took_up(frame: pl.DataFrame) -> npt.NDArray[np.float64]:
    return frame["took_up"].cast(pl.Float64).to_numpy()


def _day(found: object) -> str:
    return f"{found:%Y-%m-%d}" if isinstance(found, datetime) else ""

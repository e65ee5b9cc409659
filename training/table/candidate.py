"""From a flat table to a candidate: the same growing, validation and report as for the group's own models."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from training.candidates import Candidate, calibration_in_words, judged_model, trees_in_words
from training.errors import UnusableTable
from training.growth import BoosterParameters, Grown, Growth, TrainingRows, grown_model
from training.model import OWN_NAMES, ScoringModel, scores_parties
from training.provenance import git_commit, texts_sha256
from training.reference import PROBABILITY, ReferenceRows
from training.table.frame import TableFrame
from training.table.request import TableRequest
from training.validation import Rival, ScoredRows
from training.validation.report import ModelCard

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_EXAMPLE_ROWS: Final = 3
_WHAT: Final = {
    "credit": ("probability of default", "违约概率"),
    "response": ("probability of a response", "响应概率"),
}


def model_name(request: TableRequest, name: str | None) -> str:
    """The name to register under: as given, or the file's.

    Raises:
        UnusableTable: it cannot be one.
    """
    if name is None:
        stem = request.path.name.split(".")[0]
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-") or "table"
    if not _NAME.fullmatch(name):
        raise UnusableTable(f"A model cannot be named {name!r}; letters, digits, '_', '.' and '-' would do.")
    if name in OWN_NAMES or scores_parties(name):
        raise UnusableTable(f"'{name}' is the name of a model of the group's own data; give another by --name.")
    return name


def table_parameters(frame: TableFrame) -> BoosterParameters:
    """Parameters for so many rows: a leaf holds at least 20 rows, a four-hundredth of them, or 150."""
    rows = int((~frame.test).sum())
    least = int(np.clip(rows // 400, 20, 150)) if rows >= 1_000 else max(2, rows // 40)
    columns = frame.rows.shape[1]
    return BoosterParameters(
        num_leaves=16 if rows >= 5_000 else 8,
        min_data_in_leaf=least,
        # Of few columns, each tree is to see several.
        feature_fraction=float(min(1.0, max(0.3, 4 / columns))),
    )


def train_table_candidate(
    frame: TableFrame,
    request: TableRequest,
    name: str,
    parameters: BoosterParameters,
    *,
    threads: int,
    growth: Growth,
    trained_by: str,
    champion: tuple[str, ScoringModel] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
) -> Candidate:
    """Train on the rows that are not the test, judge on those that are.

    Args:
        frame: the table as it was read.
        request: what the user said of it.
        name: of the registered model.
        parameters: what the trees are grown with.
        threads: of each process that grows.
        growth: where they are grown.
        trained_by: who is on record for it.
        champion: version and model that this one would replace.
        progress: is told the share that is done.
    """
    training = training_rows(frame, ~frame.test)
    grown = grown_model(
        training, frame.inputs, frame.directions, parameters, threads=threads, growth=growth, task=request.task
    )
    progress(0.5)
    fitted, tested = _scored(grown.model, frame, ~frame.test), _scored(grown.model, frame, frame.test)
    judged = judged_model(
        grown,
        training,
        frame.directions,
        fitted,
        tested,
        threads=threads,
        champion=_rival(champion, frame),
        warnings=frame.warnings,
        progress=lambda share: progress(0.5 + 0.5 * share),
    )
    test = frame.named.filter(pl.Series(frame.test)).select(
        pl.col(request.identifier or frame.named.columns[0]),
        outcome=pl.Series(tested.labels),
        probability=pl.Series(tested.probability),
    )
    return Candidate(
        name=name,
        model=grown.model,
        parameters=parameters,
        validation=judged.validation,
        card=_card(frame, request, name, grown, parameters, trained_by),
        pictures=judged.pictures,
        example=_example(frame, grown.model),
        test=test,
        scorecard=judged.scorecard,
        tags={"split": frame.split, "target": request.target},
        reference=_reference(frame, grown, tested.probability),
    )


def training_rows(frame: TableFrame, chosen: npt.NDArray[np.bool_]) -> TrainingRows:
    """The chosen rows as the trees are grown on."""
    categorical = tuple(place for place, given in enumerate(frame.inputs) if given.kind == "category")
    return TrainingRows(frame.rows[chosen], frame.labels[chosen], frame.folds[chosen], categorical=categorical)


def _scored(model: ScoringModel, frame: TableFrame, chosen: npt.NDArray[np.bool_]) -> ScoredRows:
    rows = frame.rows[chosen]
    return ScoredRows(
        rows,
        frame.labels[chosen],
        model.probability(rows),
        months=frame.months[chosen] if len(frame.months) else frame.months,
        protected={name: groups[chosen] for name, groups in frame.protected.items()},
    )


def _rival(champion: tuple[str, ScoringModel] | None, frame: TableFrame) -> Rival | None:
    # Rows of this table say something of a champion only if it reads them alike.
    if champion is None or champion[1].inputs != frame.inputs:
        return None
    version, model = champion
    return Rival(version, model.probability(frame.rows[frame.test]))


def _example(frame: TableFrame, model: ScoringModel) -> pd.DataFrame:
    """A few rows as a caller would give them: texts for categories and dates, numbers else."""
    rows = frame.named.head(_EXAMPLE_ROWS).to_pandas()
    numbers = {given.name: place for place, given in enumerate(model.inputs) if given.kind == "number"}
    shown: dict[str, Any] = {}
    for column in model.read_columns:
        if column in numbers:
            shown[column] = frame.rows[:_EXAMPLE_ROWS, numbers[column]]
        else:
            shown[column] = rows[column].astype(str)
    return pd.DataFrame(shown)


def _reference(frame: TableFrame, grown: Grown, tested: npt.NDArray[np.float64]) -> ReferenceRows:
    probability = np.empty(len(frame.labels))
    probability[~frame.test] = grown.model.calibration.probability(grown.unseen)
    probability[frame.test] = tested
    rows = pl.DataFrame(
        {
            "fold": np.where(frame.test, "test", "train"),
            "outcome": frame.labels,
            PROBABILITY: probability,
            **{name: groups for name, groups in frame.protected.items() if len(groups)},
        }
    )
    numbers = {given.name: place for place, given in enumerate(grown.model.inputs) if given.kind == "number"}
    features = [
        pl.Series(name, frame.rows[:, numbers[name]]).fill_nan(None) if name in numbers else _as_given(frame, name)
        for name in grown.model.read_columns
    ]
    return ReferenceRows(rows, pl.DataFrame(features))


def _as_given(frame: TableFrame, name: str) -> pl.Series:
    column = frame.named[name]
    return column.cast(pl.Float64 if column.dtype.is_numeric() else pl.String)


def _card(
    frame: TableFrame, request: TableRequest, name: str, grown: Grown, parameters: BoosterParameters, trained_by: str
) -> ModelCard:
    booster, texts = grown.model.to_texts()
    what = (
        ("probability of default", "违约概率")
        if request.task == "credit"
        else ("probability of a response", "响应概率")
    )
    tested = int(frame.test.sum())
    return ModelCard(
        name=name,
        task=request.task,
        purpose_en=f"The {what[0]}: that '{request.target}' is '{frame.event}'.",
        purpose_zh=f"{what[1]}：“{request.target}”为“{frame.event}”的概率。",
        data=request.path.name,
        target=f"'{request.target}' is '{frame.event}'",
        population=f"the {len(frame.labels):,} rows of the file that have a target",
        split=f"trained on {len(frame.labels) - tested:,} rows, tested on {tested:,}: the {frame.split}",
        algorithm=trees_in_words(grown),
        calibration=calibration_in_words(grown),
        trained_at=datetime.now(UTC),
        trained_by=trained_by,
        data_sha256=frame.sha256,
        model_sha256=texts_sha256(booster, texts),
        code=git_commit(),
        seed=parameters.seed,
        not_for=("rows of another population than that of the file",),
        columns=tuple(
            {"name": reading.name, "read_as": reading.read_as, "note": reading.note} for reading in frame.readings
        ),
    )

"""Put a model into the MLflow registry with all that it was judged by: parameters, measures, pictures, report."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from group.settings import Settings
from training.candidates import Candidate
from training.inputs import Kind
from training.model import ScoringModel
from training.provenance import git_commit, texts_sha256
from training.reference import ReferenceRows, write_reference
from training.registered import (
    BOOSTER_FILE,
    CANDIDATE,
    PARAMETERS_FILE,
    REFERENCE_FOLDER,
    REFERENCE_SHA256_TAG,
    REPORT_FILE,
    REPORT_PAGE_FILE,
    REPORT_SHA256_TAG,
    SHA256_TAG,
    TRAINED_BY_TAG,
    RegisteredModel,
)
from training.registry import registry_client
from training.validation import Validation
from training.validation.pictures import Picture
from training.validation.report import ModelCard, report_html, report_json

_SCORING_CODE: Final = Path(__file__).with_name("mlflow_model.py")
_NEEDED: Final = ("lightgbm", "numpy", "pandas")
_COLUMN_TYPES: Final[dict[Kind, DataType]] = {
    "number": DataType.double, "category": DataType.string, "date": DataType.string, "series": DataType.double,
}  # fmt: skip


@dataclass(frozen=True)
class Registration:
    """A model and what the registry keeps of it.

    Attributes:
        card: what it is; its name is that of the registered model.
        texts: of its boosters and its parameters.
        code: a file that MLflow loads it by, which needs nothing of Jinkong.
        columns: what a caller gives.
        example: a few rows of these.
        parameters: what it was grown with.
        metrics: what was measured, by name.
        limits_met: whether every hard limit is.
        report: everything measured as JSON.
        page: the same for people.
        pictures: by name.
        files: other texts by path.
        tags: what else the registry shows of the run.
        reference: the frame that later rows are held against, if there is one.
    """

    card: ModelCard
    texts: tuple[str, str]
    code: Path
    columns: Sequence[ColSpec]
    example: pd.DataFrame
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    limits_met: bool
    report: str
    page: str
    pictures: Mapping[str, Picture]
    files: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reference: ReferenceRows | None = None


def register(candidate: Candidate, settings: Settings, *, source: str) -> RegisteredModel:
    """Log a scoring model as a run with a new version; it is not champion yet.

    Args:
        candidate: what was trained.
        settings: where the registry is.
        source: where the data come from, for whoever looks at the run.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    model, card, validation = candidate.model, candidate.card, candidate.validation
    scorecard = candidate.scorecard
    return register_version(
        Registration(
            card=replace(card, name=candidate.name, task=model.task),
            texts=model.to_texts(),
            code=_SCORING_CODE,
            columns=[ColSpec(_column_type(model, name), name, required=True) for name in model.read_columns],
            example=candidate.example,
            parameters=asdict(candidate.parameters) | {"trees": model.booster.num_trees()},
            metrics=_metrics(validation),
            limits_met=validation.may_become_champion,
            report=report_json(card, validation),
            page=report_html(card, validation, candidate.pictures),
            pictures=candidate.pictures,
            files={"validation/scorecard.csv": scorecard.table.to_csv(index=False)} if scorecard else {},
            tags=candidate.tags,
            reference=candidate.reference,
        ),
        settings,
        source=source,
    )


def register_version(wanted: Registration, settings: Settings, *, source: str) -> RegisteredModel:
    """Log any model as a run with a new version; it is not champion yet.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    card, name = wanted.card, wanted.card.name
    digest = texts_sha256(*wanted.texts)
    with (
        registry_client(settings) as client,
        mlflow.start_run(experiment_id=_experiment(client, name, settings)) as run,
    ):
        mlflow.log_params(dict(wanted.parameters))
        mlflow.log_metrics(dict(wanted.metrics))
        mlflow.set_tags(
            dict(wanted.tags) | {"data_sha256": card.data_sha256, "git_commit": git_commit(), "source": source}
        )
        _log_pictures(wanted.pictures)
        texts = {REPORT_FILE: wanted.report, REPORT_PAGE_FILE: wanted.page} | dict(wanted.files)
        for path, text in texts.items():
            mlflow.log_text(text, path)
        logged = _log_model(wanted)
        tags = {
            SHA256_TAG: digest,
            REPORT_SHA256_TAG: texts_sha256(wanted.report),
            TRAINED_BY_TAG: card.trained_by,
            "source": source,
            "task": card.task,
            "limits_met": str(wanted.limits_met).lower(),
        }
        if wanted.reference is not None:
            tags[REFERENCE_SHA256_TAG] = _log_reference(wanted.reference)
        for tag, value in tags.items():
            client.set_model_version_tag(name, logged, tag, value)
        client.set_registered_model_alias(name, CANDIDATE, logged)
        return RegisteredModel(wanted.texts, name, logged, digest, run.info.run_id, source, card.trained_by)


def _log_pictures(pictures: Mapping[str, Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for title, picture in pictures.items():
            (Path(folder) / f"{title}.png").write_bytes(picture.png)
        mlflow.log_artifacts(folder, "plots")


def _log_reference(reference: ReferenceRows) -> str:
    with tempfile.TemporaryDirectory() as folder:
        digest = write_reference(Path(folder), reference)
        mlflow.log_artifacts(folder, REFERENCE_FOLDER)
    return digest


def _log_model(wanted: Registration) -> str:
    """Store the model's files as a version of the registered model and return the version."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"booster": Path(folder) / BOOSTER_FILE, "parameters": Path(folder) / PARAMETERS_FILE}
        for path, text in zip(files.values(), wanted.texts, strict=True):
            path.write_text(text)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(wanted.code),
            artifacts={name: str(path) for name, path in files.items()},
            signature=ModelSignature(Schema(list(wanted.columns)), Schema([ColSpec(DataType.double)])),
            input_example=wanted.example,
            pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            registered_model_name=wanted.card.name,
        )
    return str(info.registered_model_version)


def _column_type(model: ScoringModel, name: str) -> DataType:
    kinds: dict[str, Kind] = {}
    for given in model.inputs:
        # What a series is made of are numbers; what dates are counted back from is a date, an input itself or not.
        kinds |= dict.fromkeys(given.reads, given.kind)
    return _COLUMN_TYPES[kinds[name]]


def _metrics(validation: Validation) -> dict[str, float]:
    performances = (("train", validation.fit), ("test", validation.test))
    measures = {f"{part}_{name}": value for part, result in performances for name, value in asdict(result).items()}
    return measures | {name: value for name, value in validation.figures.items() if name not in measures}


def _experiment(client: mlflow.MlflowClient, name: str, settings: Settings) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # A server decides by itself where files go; the embedded store would put them into the current folder.
    local = None if settings.mlflow_tracking_uri else (settings.home.absolute() / "mlflow_artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=local))

"""Put a candidate into the MLflow registry with all that it was judged by: parameters, measures, pictures, report."""

import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from group.settings import Settings
from training.candidates import Candidate
from training.inputs import Kind
from training.model import ScoringModel
from training.provenance import git_commit, texts_sha256
from training.registry import (
    BOOSTER_FILE,
    CANDIDATE,
    PARAMETERS_FILE,
    REPORT_FILE,
    REPORT_PAGE_FILE,
    REPORT_SHA256_TAG,
    SHA256_TAG,
    TRAINED_BY_TAG,
    RegisteredModel,
    registry_client,
)
from training.validation import Validation
from training.validation.report import report_html, report_json

_MODEL_CODE: Final = Path(__file__).with_name("mlflow_model.py")
_NEEDED: Final = ("lightgbm", "numpy", "pandas")
_COLUMN_TYPES: Final[dict[Kind, DataType]] = {
    "number": DataType.double, "category": DataType.string, "date": DataType.string, "series": DataType.double,
}  # fmt: skip


def register(candidate: Candidate, settings: Settings, *, source: str) -> RegisteredModel:
    """Log the candidate as a run with a new version of the model; it is not champion yet.

    Args:
        candidate: what was trained.
        settings: where the registry is.
        source: where the data come from, for whoever looks at the run.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    name, card = candidate.name, candidate.card
    booster, parameters = candidate.model.to_texts()
    digest = texts_sha256(booster, parameters)
    report = report_json(card, candidate.validation)
    with (
        registry_client(settings) as client,
        mlflow.start_run(experiment_id=_experiment(client, name, settings)) as run,
    ):
        mlflow.log_params(asdict(candidate.parameters) | {"trees": candidate.model.booster.num_trees()})
        mlflow.log_metrics(_metrics(candidate.validation))
        mlflow.set_tags(
            dict(candidate.tags) | {"data_sha256": card.data_sha256, "git_commit": git_commit(), "source": source}
        )
        _log_pictures(candidate)
        mlflow.log_text(report, REPORT_FILE)
        mlflow.log_text(report_html(card, candidate.validation, candidate.pictures), REPORT_PAGE_FILE)
        if candidate.scorecard is not None:
            mlflow.log_text(candidate.scorecard.table.to_csv(index=False), "validation/scorecard.csv")
        logged = _log_model(candidate, booster, parameters)
        tags = {
            SHA256_TAG: digest,
            REPORT_SHA256_TAG: texts_sha256(report),
            TRAINED_BY_TAG: card.trained_by,
            "source": source,
            "task": candidate.model.task,
            "limits_met": str(candidate.validation.may_become_champion).lower(),
        }
        for tag, value in tags.items():
            client.set_model_version_tag(name, logged, tag, value)
        client.set_registered_model_alias(name, CANDIDATE, logged)
        return RegisteredModel(candidate.model, name, logged, digest, run.info.run_id, source, card.trained_by)


def _log_pictures(candidate: Candidate) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for title, picture in candidate.pictures.items():
            (Path(folder) / f"{title}.png").write_bytes(picture.png)
        mlflow.log_artifacts(folder, "plots")


def _log_model(candidate: Candidate, booster: str, parameters: str) -> str:
    """Store the model's files as a version of the registered model and return the version."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"booster": Path(folder) / BOOSTER_FILE, "parameters": Path(folder) / PARAMETERS_FILE}
        files["booster"].write_text(booster)
        files["parameters"].write_text(parameters)
        columns = [
            ColSpec(_column_type(candidate.model, name), name, required=True) for name in candidate.model.read_columns
        ]
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_MODEL_CODE),
            artifacts={name: str(path) for name, path in files.items()},
            signature=ModelSignature(Schema(columns), Schema([ColSpec(DataType.double)])),
            input_example=candidate.example,
            pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            registered_model_name=candidate.name,
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

"""The MLflow registry: keep a candidate with all that it was judged by, make it champion, load the champion.

A model is stored as LightGBM text and JSON, never pickled, and carries the SHA-256 of both: what is loaded is what
was registered, or it is refused.
"""

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from group.libraries import hushed
from group.settings import Settings
from training.candidates import Candidate
from training.errors import ModelTampered, NoChampion, RegistryUnavailable
from training.model import ScoringModel
from training.validation import Validation

MODEL_NAME: Final = "credit_pd"
CHAMPION: Final = "champion"

_BOOSTER: Final = "booster.txt"
_PARAMETERS: Final = "parameters.json"
_SHA256: Final = "sha256"
_MODEL_CODE: Final = Path(__file__).with_name("mlflow_model.py")
_NEEDED: Final = ("lightgbm", "numpy", "pandas")


@dataclass(frozen=True)
class RegisteredModel:
    """A model as it stands in the registry."""

    model: ScoringModel
    name: str
    version: str
    sha256: str
    run_id: str
    source: str


def register(candidate: Candidate, settings: Settings, *, source: str) -> RegisteredModel:
    """Log the candidate as a run with a new version of the model; it is not champion yet.

    Args:
        candidate: what was trained.
        settings: where the registry is.
        source: where the data come from, for whoever looks at the run.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with _client(settings) as client, mlflow.start_run(experiment_id=_experiment(client, settings)) as run:
        validation = candidate.validation
        mlflow.log_params(asdict(candidate.parameters) | {"trees": candidate.model.booster.num_trees()})
        mlflow.log_metrics(_metrics(validation))
        mlflow.set_tags(
            {
                "data_sha256": candidate.data_hash,
                "git_commit": git_commit(),
                "source": source,
                "split": candidate.split.kind,
                "test_instants": ", ".join(f"{instant:%Y-%m-%d}" for instant in candidate.split.test_instants),
            }
        )
        for name, figure in candidate.plots.items():
            mlflow.log_figure(figure, f"plots/{name}")
        mlflow.log_dict(asdict(validation), "validation.json")
        booster, parameters = candidate.model.to_texts()
        digest = _sha256(booster, parameters)
        logged = _log_model(candidate, booster, parameters)
        for tag, value in ((_SHA256, digest), ("source", source)):
            client.set_model_version_tag(MODEL_NAME, logged, tag, value)
        return RegisteredModel(candidate.model, MODEL_NAME, logged, digest, run.info.run_id, source)


def promote(registered: RegisteredModel, settings: Settings) -> None:
    """Make a version the champion.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with _client(settings) as client:
        client.set_registered_model_alias(registered.name, CHAMPION, registered.version)


def champion(settings: Settings) -> RegisteredModel:
    """The model that is served.

    Raises:
        NoChampion: no version has the alias.
        ModelTampered: the stored files are not the ones that were registered.
        RegistryUnavailable: MLflow does not answer.
    """
    with _client(settings) as client:
        try:
            entry = client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise NoChampion(
                f"The registry {_shown(settings)} has no model '{MODEL_NAME}' with the alias '{CHAMPION}'; "
                "run `jinkong train`."
            ) from None
        return _loaded(entry)


def model_version(version: str, settings: Settings) -> RegisteredModel:
    """A version of the model, champion or not: what answered when a past score was given.

    Raises:
        ModelTampered: the stored files are not the ones that were registered.
        RegistryUnavailable: MLflow does not answer, or has no such version.
    """
    with _client(settings) as client:
        return _loaded(client.get_model_version(MODEL_NAME, version))


def git_commit() -> str:
    """The commit this code was checked out from, with ``+`` if files differ from it; ``unknown`` outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changes else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    return done.stdout.strip()


def _loaded(entry: ModelVersion) -> RegisteredModel:
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{MODEL_NAME}/{entry.version}"
        stored = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)) / "artifacts"
        booster, parameters = ((stored / name).read_text() for name in (_BOOSTER, _PARAMETERS))
    digest = _sha256(booster, parameters)
    if digest != entry.tags.get(_SHA256):
        raise ModelTampered(
            f"Version {entry.version} of '{MODEL_NAME}' is not the one that was registered: its SHA-256 is {digest}, "
            f"registered was {entry.tags.get(_SHA256, 'none')}. Train again, or put the alias on another version."
        )
    model = ScoringModel.from_texts(booster, parameters)
    source = entry.tags.get("source", "")
    return RegisteredModel(model, MODEL_NAME, str(entry.version), digest, entry.run_id, source)


def _log_model(candidate: Candidate, booster: str, parameters: str) -> str:
    """Store the model's files as a version of the registered model and return the version."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"booster": Path(folder) / _BOOSTER, "parameters": Path(folder) / _PARAMETERS}
        files["booster"].write_text(booster)
        files["parameters"].write_text(parameters)
        columns = [ColSpec(DataType.double, name, required=True) for name in candidate.model.features]
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_MODEL_CODE),
            artifacts={name: str(path) for name, path in files.items()},
            signature=ModelSignature(Schema(columns), Schema([ColSpec(DataType.double)])),
            input_example=candidate.example,
            pip_requirements=[f"{package}=={version(package)}" for package in _NEEDED],
            registered_model_name=MODEL_NAME,
        )
    return str(info.registered_model_version)


def _metrics(validation: Validation) -> dict[str, float]:
    performances = (("train", validation.fit), ("test", validation.test))
    measures = {f"{part}_{name}": value for part, result in performances for name, value in asdict(result).items()}
    return measures | {"score_psi": validation.score_psi, "largest_feature_psi": max(validation.feature_psi.values())}


def _sha256(booster: str, parameters: str) -> str:
    return hashlib.sha256(json.dumps([booster, parameters]).encode()).hexdigest()


def _experiment(client: mlflow.MlflowClient, settings: Settings) -> str:
    found = client.get_experiment_by_name(MODEL_NAME)
    if found is not None:
        return str(found.experiment_id)
    # A server decides by itself where files go; the embedded store would put them into the current folder.
    local = None if settings.mlflow_tracking_uri else (settings.home.absolute() / "mlflow_artifacts").as_uri()
    return str(client.create_experiment(MODEL_NAME, artifact_location=local))


@contextmanager
def _client(settings: Settings) -> Iterator[Any]:
    """MLflow's client at the place that the settings name; its errors become ours."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with hushed():
        mlflow.set_tracking_uri(settings.tracking_uri)
        try:
            yield mlflow.MlflowClient(settings.tracking_uri)
        except MlflowException as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
            raise RegistryUnavailable(
                f"The model registry {_shown(settings)} cannot do what is asked: {_without_password(first)}."
            ) from None


def _shown(settings: Settings) -> str:
    return _without_password(settings.tracking_uri)


def _without_password(text: str) -> str:
    """URLs in ``text`` without user and password."""
    return re.sub(r"//[^/@\s]+@", "//", text)

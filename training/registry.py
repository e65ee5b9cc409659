"""The MLflow registry: keep a candidate with all that it was judged by, load a version, load the champion.

A model is stored as LightGBM text and JSON, never pickled, and carries the SHA-256 of both: what is loaded is what
was registered, or it is refused. Who may become champion is decided in ``training.approval``.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
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
from training.credit import MODEL_NAME
from training.errors import ModelTampered, NoChampion, RegistryUnavailable
from training.inputs import Kind
from training.model import ScoringModel
from training.provenance import git_commit, texts_sha256
from training.validation import Validation
from training.validation.report import report_html, report_json

CHAMPION: Final = "champion"
CANDIDATE: Final = "candidate"
"""The alias of the version that was trained last."""

_BOOSTER: Final = "booster.txt"
_PARAMETERS: Final = "parameters.json"
_REPORT: Final = "validation/report.json"
_REPORT_PAGE: Final = "validation/report.html"
_SHA256: Final = "sha256"
_REPORT_SHA256: Final = "report_sha256"
_TRAINED_BY: Final = "trained_by"
_APPROVED_BY: Final = "approved_by"
_MODEL_CODE: Final = Path(__file__).with_name("mlflow_model.py")
_NEEDED: Final = ("lightgbm", "numpy", "pandas")
_COLUMN_TYPES: Final[dict[Kind, DataType]] = {
    "number": DataType.double, "category": DataType.string, "date": DataType.string, "series": DataType.double,
}  # fmt: skip


@dataclass(frozen=True)
class RegisteredModel:
    """A model as it stands in the registry."""

    model: ScoringModel
    name: str
    version: str
    sha256: str
    run_id: str
    source: str
    trained_by: str = ""
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version as a list shows it. ``met`` tells whether it met every hard limit when it was trained."""

    name: str
    version: str
    aliases: tuple[str, ...]
    trained_by: str
    approved_by: str
    source: str
    met: bool
    gini: float | None
    run_id: str


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
    with _client(settings) as client, mlflow.start_run(experiment_id=_experiment(client, name, settings)) as run:
        mlflow.log_params(asdict(candidate.parameters) | {"trees": candidate.model.booster.num_trees()})
        mlflow.log_metrics(_metrics(candidate.validation))
        mlflow.set_tags(
            dict(candidate.tags) | {"data_sha256": card.data_sha256, "git_commit": git_commit(), "source": source}
        )
        for title, figure in candidate.pictures.items():
            mlflow.log_figure(figure, f"plots/{title}.png")
        mlflow.log_text(report, _REPORT)
        mlflow.log_text(report_html(card, candidate.validation, candidate.pictures), _REPORT_PAGE)
        if candidate.scorecard is not None:
            mlflow.log_text(candidate.scorecard.table.to_csv(index=False), "validation/scorecard.csv")
        logged = _log_model(candidate, booster, parameters)
        tags = {
            _SHA256: digest,
            _REPORT_SHA256: texts_sha256(report),
            _TRAINED_BY: card.trained_by,
            "source": source,
            "task": candidate.model.task,
            "limits_met": str(candidate.validation.may_become_champion).lower(),
        }
        for tag, value in tags.items():
            client.set_model_version_tag(name, logged, tag, value)
        client.set_registered_model_alias(name, CANDIDATE, logged)
        return RegisteredModel(candidate.model, name, logged, digest, run.info.run_id, source, card.trained_by)


def mark_champion(registered: RegisteredModel, approved_by: str, settings: Settings) -> None:
    """Put the alias on a version that was approved; ``training.approval`` alone does this.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with _client(settings) as client:
        client.set_model_version_tag(registered.name, registered.version, _APPROVED_BY, approved_by)
        client.set_registered_model_alias(registered.name, CHAMPION, registered.version)


def report_of(registered: RegisteredModel, settings: Settings) -> Mapping[str, Any]:
    """The validation report of a version, as it was when the version was registered.

    Raises:
        ModelTampered: the report was changed since.
        RegistryUnavailable: MLflow does not answer, or has no report.
    """
    with _client(settings) as client:
        entry = client.get_model_version(registered.name, registered.version)
        text = str(mlflow.artifacts.load_text(f"runs:/{entry.run_id}/{_REPORT}"))
    if texts_sha256(text) != entry.tags.get(_REPORT_SHA256):
        raise ModelTampered(
            f"The validation report of version {entry.version} of '{entry.name}' was changed after it was registered. "
            "Train again."
        )
    content: Mapping[str, Any] = json.loads(text)
    return content


def report_page(registered: RegisteredModel, settings: Settings) -> str:
    """The same as a page."""
    with _client(settings) as client:
        entry = client.get_model_version(registered.name, registered.version)
        return str(mlflow.artifacts.load_text(f"runs:/{entry.run_id}/{_REPORT_PAGE}"))


def versions(settings: Settings, name: str | None = None) -> list[VersionRow]:
    """All versions of one model, or of all, newest first."""
    with _client(settings) as client:
        chosen = f"name='{name}'" if name and "'" not in name else None
        if name and chosen is None:
            return []
        found = client.search_model_versions(chosen, max_results=1_000)
        aliases: dict[tuple[str, str], list[str]] = {}
        for model in {entry.name for entry in found}:
            for alias, number in client.get_registered_model(model).aliases.items():
                aliases.setdefault((model, str(number)), []).append(alias)
        rows = []
        for entry in found:
            run = client.get_run(entry.run_id)
            rows.append(
                VersionRow(
                    name=entry.name,
                    version=str(entry.version),
                    aliases=tuple(sorted(aliases.get((entry.name, str(entry.version)), []))),
                    trained_by=entry.tags.get(_TRAINED_BY, ""),
                    approved_by=entry.tags.get(_APPROVED_BY, ""),
                    source=entry.tags.get("source", ""),
                    met=entry.tags.get("limits_met") == "true",
                    gini=run.data.metrics.get("test_gini"),
                    run_id=entry.run_id,
                )
            )
    return sorted(rows, key=lambda row: (row.name, -int(row.version)))


def champion(settings: Settings, name: str = MODEL_NAME) -> RegisteredModel:
    """The version of a model that is served.

    Raises:
        NoChampion: no version has the alias, or one that nobody has approved.
        ModelTampered: the stored files are not the ones that were registered.
        RegistryUnavailable: MLflow does not answer.
    """
    found = _by_alias(settings, name, CHAMPION)
    if found is None:
        raise NoChampion(
            f"The registry {_shown(settings)} has no model '{name}' with the alias '{CHAMPION}'; train one, then have "
            f"it approved: `jinkong models approve {name}`."
        )
    if not found.approved_by:
        raise NoChampion(
            f"Version {found.version} of '{name}' has the alias '{CHAMPION}', but nobody has approved it; "
            f"run `jinkong models approve {name} --version {found.version}`."
        )
    return found


def latest_candidate(settings: Settings, name: str) -> RegisteredModel | None:
    """The version of a model that was trained last; None if there is none."""
    return _by_alias(settings, name, CANDIDATE)


def model_version(version: str, settings: Settings, name: str = MODEL_NAME) -> RegisteredModel:
    """A version of a model, champion or not: what answered when a past score was given.

    Raises:
        ModelTampered: the stored files are not the ones that were registered.
        RegistryUnavailable: MLflow does not answer, or has no such version.
    """
    with _client(settings) as client:
        return _loaded(client.get_model_version(name, version))


def _by_alias(settings: Settings, name: str, alias: str) -> RegisteredModel | None:
    with _client(settings) as client:
        try:
            entry = client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        return _loaded(entry)


def _loaded(entry: ModelVersion) -> RegisteredModel:
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{entry.name}/{entry.version}"
        stored = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)) / "artifacts"
        booster, parameters = ((stored / name).read_text() for name in (_BOOSTER, _PARAMETERS))
    digest = texts_sha256(booster, parameters)
    if digest != entry.tags.get(_SHA256):
        raise ModelTampered(
            f"Version {entry.version} of '{entry.name}' is not the one that was registered: its SHA-256 is {digest}, "
            f"registered was {entry.tags.get(_SHA256, 'none')}. Train again, or put the alias on another version."
        )
    model = ScoringModel.from_texts(booster, parameters)
    return RegisteredModel(
        model,
        entry.name,
        str(entry.version),
        digest,
        entry.run_id,
        entry.tags.get("source", ""),
        entry.tags.get(_TRAINED_BY, ""),
        entry.tags.get(_APPROVED_BY, ""),
    )


def _log_model(candidate: Candidate, booster: str, parameters: str) -> str:
    """Store the model's files as a version of the registered model and return the version."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"booster": Path(folder) / _BOOSTER, "parameters": Path(folder) / _PARAMETERS}
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

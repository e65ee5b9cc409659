"""The MLflow registry: its versions, their models and reports, the champion.

A model is stored as LightGBM text and JSON, never pickled, and carries the SHA-256 of both: what is loaded is what
was registered, or it is refused. Who may become champion is decided in ``training.approval``.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from group.libraries import hushed
from group.settings import Settings
from training.errors import ModelTampered, NoChampion, NoReference, RegistryUnavailable
from training.model import MODEL_NAME
from training.provenance import texts_sha256
from training.reference import REFERENCE_FILES, Reference, folder_sha256, read_reference
from training.registered import (
    APPROVED_BY_TAG,
    BOOSTER_FILE,
    CANDIDATE,
    CHALLENGER,
    CHALLENGER_SHARE_TAG,
    CHAMPION,
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


def mark_champion(registered: RegisteredModel, approved_by: str, settings: Settings) -> None:
    """Put the alias on a version that was approved; ``training.approval`` alone does this.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with registry_client(settings) as client:
        client.set_model_version_tag(registered.name, registered.version, APPROVED_BY_TAG, approved_by)
        client.set_registered_model_alias(registered.name, CHAMPION, registered.version)


def mark_challenger(registered: RegisteredModel, share: float, settings: Settings) -> None:
    """Put the challenger's alias on a version; ``training.approval`` alone does this.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with registry_client(settings) as client:
        client.set_model_version_tag(registered.name, registered.version, CHALLENGER_SHARE_TAG, repr(share))
        client.set_registered_model_alias(registered.name, CHALLENGER, registered.version)


def drop_challenger(settings: Settings, name: str) -> None:
    """Take the challenger's alias away.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    with registry_client(settings) as client:
        client.delete_registered_model_alias(name, CHALLENGER)


def challenger(settings: Settings, name: str = MODEL_NAME) -> RegisteredModel | None:
    """The version of a model that is tried beside the champion; None if there is none."""
    return _by_alias(settings, name, CHALLENGER)


def report_of(registered: RegisteredModel, settings: Settings) -> Mapping[str, Any]:
    """The validation report of a version, as it was when the version was registered.

    Raises:
        ModelTampered: the report was changed since.
        RegistryUnavailable: MLflow does not answer, or has no report.
    """
    with registry_client(settings) as client:
        entry = client.get_model_version(registered.name, registered.version)
        text = str(mlflow.artifacts.load_text(f"runs:/{entry.run_id}/{REPORT_FILE}"))
    if texts_sha256(text) != entry.tags.get(REPORT_SHA256_TAG):
        raise ModelTampered(
            f"The validation report of version {entry.version} of '{entry.name}' was changed after it was registered. "
            "Train again."
        )
    content: Mapping[str, Any] = json.loads(text)
    return content


def report_page(registered: RegisteredModel, settings: Settings) -> str:
    """The same as a page."""
    with registry_client(settings) as client:
        entry = client.get_model_version(registered.name, registered.version)
        return str(mlflow.artifacts.load_text(f"runs:/{entry.run_id}/{REPORT_PAGE_FILE}"))


def reference_of(registered: RegisteredModel, settings: Settings, folder: Path) -> Reference:
    """The frame that a version was trained on, as it was registered; ``folder`` keeps a copy of it for the next time.

    Raises:
        NoReference: the version was registered before references were kept, or is of amounts.
        ModelTampered: the reference was changed since.
        RegistryUnavailable: MLflow does not answer.
    """
    with registry_client(settings) as client:
        entry = client.get_model_version(registered.name, registered.version)
        wanted = entry.tags.get(REFERENCE_SHA256_TAG)
        if wanted is None:
            raise NoReference(
                f"Version {entry.version} of '{entry.name}' has no reference frame in the registry: it was trained "
                "before they were kept, or gives amounts. Train again to have it watched."
            )
        if not all((folder / name).is_file() for name in REFERENCE_FILES) or folder_sha256(folder) != wanted:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as arriving:
                uri = f"runs:/{entry.run_id}/{REFERENCE_FOLDER}"
                stored = Path(mlflow.artifacts.download_artifacts(uri, dst_path=arriving))
                for name in REFERENCE_FILES:
                    (stored / name).replace(folder / name)
    found = read_reference(folder)
    if found.sha256 != wanted:
        raise ModelTampered(
            f"The reference frame of version {registered.version} of '{registered.name}' was changed after it was "
            "registered. Train again."
        )
    return found


def versions(settings: Settings, name: str | None = None) -> list[VersionRow]:
    """All versions of one model, or of all, newest first."""
    with registry_client(settings) as client:
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
                    trained_by=entry.tags.get(TRAINED_BY_TAG, ""),
                    approved_by=entry.tags.get(APPROVED_BY_TAG, ""),
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
    with registry_client(settings) as client:
        return _loaded(client.get_model_version(name, version))


def _by_alias(settings: Settings, name: str, alias: str) -> RegisteredModel | None:
    with registry_client(settings) as client:
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
        booster, parameters = ((stored / name).read_text() for name in (BOOSTER_FILE, PARAMETERS_FILE))
    digest = texts_sha256(booster, parameters)
    if digest != entry.tags.get(SHA256_TAG):
        raise ModelTampered(
            f"Version {entry.version} of '{entry.name}' is not the one that was registered: its SHA-256 is {digest}, "
            f"registered was {entry.tags.get(SHA256_TAG, 'none')}. Train again, or put the alias on another version."
        )
    return RegisteredModel(
        (booster, parameters),
        entry.name,
        str(entry.version),
        digest,
        entry.run_id,
        entry.tags.get("source", ""),
        entry.tags.get(TRAINED_BY_TAG, ""),
        entry.tags.get(APPROVED_BY_TAG, ""),
    )


@contextmanager
def registry_client(settings: Settings) -> Iterator[Any]:
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

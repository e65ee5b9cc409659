"""What happens to a registry while somebody serves from it."""

import json
from pathlib import Path

import mlflow

from group.settings import Settings
from training import RegisteredModel, champion
from training.provenance import texts_sha256
from training.registered import APPROVED_BY_TAG, CHAMPION, SHA256_TAG


def another_champion(settings: Settings, *, tampered: bool = False) -> RegisteredModel:
    """A version with the champion's trees and another calibration takes the alias, its files changed if so asked."""
    made = another_version(settings, tampered=tampered)
    mlflow.MlflowClient(settings.tracking_uri).set_registered_model_alias(made.name, CHAMPION, made.version)
    return made


def another_version(settings: Settings, *, tampered: bool = False) -> RegisteredModel:
    """The same without the alias."""
    there = champion(settings)
    parameters = json.loads(there.texts[1])
    parameters["calibration"]["shift"] += 0.5
    texts = there.texts[0], json.dumps(parameters)
    digest = texts_sha256(*texts)
    client = mlflow.MlflowClient(settings.tracking_uri)
    folder = settings.home / "another" / str(len(client.search_model_versions(f"name='{there.name}'")))
    _write(folder / "artifacts" / "booster.txt", texts[0])
    _write(folder / "artifacts" / "parameters.json", texts[1].replace("credit", "debit") if tampered else texts[1])
    made = client.create_model_version(
        there.name, str(folder), there.run_id, tags={SHA256_TAG: digest, APPROVED_BY_TAG: "the committee"}
    )
    return RegisteredModel(texts, there.name, str(made.version), digest, there.run_id, there.source)


def withdrawn(settings: Settings, name: str = "credit_pd") -> None:
    """Nobody is champion any more."""
    mlflow.MlflowClient(settings.tracking_uri).delete_registered_model_alias(name, CHAMPION)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

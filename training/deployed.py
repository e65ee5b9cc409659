"""The champion as this home has it: a copy beside the registry, for the processes that score.

A process that scores looks at the registry every few seconds. What it has to know is two lines, which it can read
without MLflow, whose import takes longer than all else together; and where the registry is away, or holds a champion
that cannot be used, the last one that could goes on.
"""

import json
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from group.files import write_text_whole
from group.settings import Settings
from training.errors import RegistryUnavailable
from training.model import MODEL_NAME
from training.provenance import texts_sha256
from training.registered import APPROVED_BY_TAG, CHALLENGER_SHARE_TAG, CHAMPION, SHA256_TAG, RegisteredModel

_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """Which version the registry's alias is on, the hash of its files, and who approved it.

    ``share`` is that of the parties that it answers for where it is the challenger.
    """

    version: str
    sha256: str
    approved_by: str
    share: float = 0.0


def champion_mark(settings: Settings, name: str = MODEL_NAME, alias: str = CHAMPION) -> Mark | None:
    """What the registry says at this moment, without MLflow; None if no version has the alias.

    Raises:
        RegistryUnavailable: it does not answer.
    """
    if settings.mlflow_tracking_uri:
        return _mark_by_http(settings.mlflow_tracking_uri, name, alias)
    return _mark_in_file(settings.home / "mlflow.db", name, alias)


def deployed(settings: Settings, name: str = MODEL_NAME) -> RegisteredModel | None:
    """The copy that this home keeps; None where there is none, or one that is not what was registered."""
    try:
        content = json.loads(_path(settings, name).read_text(encoding="utf-8"))
        found = RegisteredModel(**(content | {"texts": tuple(content["texts"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if texts_sha256(*found.texts) == found.sha256 else None


def deploy(settings: Settings, registered: RegisteredModel) -> None:
    """Keep a copy of a model that has shown that it can be used."""
    write_text_whole(_path(settings, registered.name), json.dumps(asdict(registered), ensure_ascii=False))


def _path(settings: Settings, name: str) -> Path:
    return settings.home / "deployed" / f"{name}.json"


def _mark_in_file(path: Path, name: str, alias: str) -> Mark | None:
    if not path.is_file():
        return None
    try:
        connection = sqlite3.connect(f"file:{urllib.parse.quote(str(path))}?mode=ro", uri=True, timeout=_SECONDS)
        try:
            rows = connection.execute(
                """
                SELECT aliases.version, tags.key, tags.value
                FROM registered_model_aliases AS aliases
                LEFT JOIN model_version_tags AS tags USING (name, version)
                WHERE aliases.name = ? AND aliases.alias = ?
                """,
                (name, alias),
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise RegistryUnavailable(f"The model registry {path} cannot be read: {error}.") from None
    return _mark(str(rows[0][0]), {key: value for _, key, value in rows}) if rows else None


def _mark_by_http(url: str, name: str, alias: str) -> Mark | None:
    asked = urllib.parse.urlencode({"name": name, "alias": alias})
    try:
        with urllib.request.urlopen(  # noqa: S310 - the settings allow http and https alone
            f"{url.rstrip('/')}/api/2.0/mlflow/registered-models/alias?{asked}", timeout=_SECONDS
        ) as response:
            entry = json.load(response)["model_version"]
    except urllib.error.HTTPError as error:
        if _error_code(error) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise RegistryUnavailable(f"The model registry answers {error.code}.") from None
    except (OSError, ValueError, KeyError) as error:
        raise RegistryUnavailable(f"The model registry does not answer: {error}.") from None
    return _mark(str(entry["version"]), {tag["key"]: tag["value"] for tag in entry.get("tags", [])})


def _error_code(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error).get("error_code", ""))
    except ValueError:
        return ""


def _mark(version: str, tags: dict[str, Any]) -> Mark:
    return Mark(
        version,
        str(tags.get(SHA256_TAG, "")),
        str(tags.get(APPROVED_BY_TAG, "")),
        _share(str(tags.get(CHALLENGER_SHARE_TAG, ""))),
    )


def _share(text: str) -> float:
    """What the tag says; a text that is no share, which nobody of ours has written, is none."""
    try:
        share = float(text)
    except ValueError:
        return 0.0
    return share if 0 <= share <= 1 else 0.0

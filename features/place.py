"""Where data and features lie below a home folder, for those who read them without Feast."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from features.catalogue import CREDIT_SERVICE
from features.online.reader import OnlineReader, open_reader
from group.settings import Settings

PROJECT: Final = "jinkong"
"""The name of the project in Feast."""


def canonical_folder(home: Path) -> Path:
    """Tables that keep their contracts, and the resolved parties."""
    return home.absolute() / "data" / "canonical"


def features_folder(home: Path) -> Path:
    """Feature rows, a folder for each view, a file for each instant."""
    return home.absolute() / "features"


def feast_home(settings: Settings) -> Path:
    """The folder of the registry, of SQLite's online store, and of what readers must know of the services."""
    return (settings.home / "feast").absolute()


def online_reader(settings: Settings, features: Sequence[str], service: str = CREDIT_SERVICE) -> OnlineReader:
    """A reader of ``features``, in their order, from the online store that the settings name.

    Raises:
        FeatureStoreUnavailable: the service is not defined yet, or lacks one of the features.
    """
    return open_reader(settings.online_store_url, feast_home(settings), features, service)

"""Copies of a home that tests may change."""

import os
import shutil
from pathlib import Path

from group.settings import Settings


def copied_home(settings: Settings, target: Path, *, with_data: bool = False) -> Settings:
    """A home with the registry and the definitions of another, with its tables and features too if so asked.

    Files of tables are shared: whoever changes one writes another in its place.
    """
    own = settings.at(target)
    target.mkdir(parents=True)
    shutil.copy(settings.home / "mlflow.db", target)
    for name in ("mlflow_artifacts", "feast"):
        shutil.copytree(settings.home / name, target / name)
    if with_data:
        for name in ("data", "features"):
            shutil.copytree(settings.home / name, target / name, copy_function=os.link)
    return own

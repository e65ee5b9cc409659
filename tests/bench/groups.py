"""The simulated group that benchmarks run on."""

from pathlib import Path

from features.sources.deliveries import SimulatedSource
from group.settings import Settings
from pipelines.jobs.data import load_data
from pipelines.jobs.identity import link_customers
from pipelines.progress import Silence
from pipelines.workspace import Workspace


def a_group(settings: Settings, scale: float) -> Path:
    """The canonical tables of the medium group, with parties; below a ``scale`` of 1 those of the small one."""
    load_data(settings, SimulatedSource("medium" if scale >= 1 else "small"), Silence())
    link_customers(settings, Silence())
    return Workspace.of(settings).canonical

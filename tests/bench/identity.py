"""How well and how fast customers are linked: precision and recall against the truth, and seconds."""

from pathlib import Path
from typing import Any

import polars as pl

from features.identity.accuracy import link_accuracy
from features.identity.customers import known_customers
from features.identity.links import same_identity
from features.identity.parties import resolve_parties
from group.settings import load_settings
from pipelines.workspace import Workspace
from tests.bench.groups import a_group
from tests.bench.timing import medians


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Link the group's customers; ``scale`` below 1 takes the small group."""
    settings = load_settings({"JINKONG_HOME": str(folder / "home")})
    canonical = a_group(settings, scale)
    times = medians(
        rounds,
        linking=lambda: resolve_parties(canonical, threads=settings.threads),
        rules_alone=lambda: same_identity(known_customers(canonical)),
    )
    found = resolve_parties(canonical, threads=settings.threads)
    parties = pl.read_parquet(canonical / "parties" / "*.parquet")
    accuracy = link_accuracy(parties, pl.read_parquet(Workspace.of(settings).truth / "identity" / "*.parquet"))
    return {
        "customers": found.customers,
        "parties": found.parties,
        "uncertain_pairs": len(found.uncertain),
        "precision": accuracy.precision,
        "recall": accuracy.recall,
        "times": times,
    }

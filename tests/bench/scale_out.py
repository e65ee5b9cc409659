"""How long a group takes from raw files to features by partition, and at what memory: ``make bench-scale-out``.

Each step says its seconds and the peak of the resident memory of all processes, Ray's workers included. Pages that
processes share are counted once a process, so the peak is an upper bound. ``large`` takes about half an hour.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.sources.deliveries import SimulatedSource
from features.sources.simulated import SIZES
from group.settings import load_settings
from pipelines.jobs.data import load_data
from pipelines.jobs.features import compute_features, loaded_views
from pipelines.jobs.identity import link_customers
from pipelines.memory import peak_memory
from pipelines.progress import Silence
from pipelines.workspace import Workspace

INSTANTS = [datetime(2025, month, 1, tzinfo=UTC) for month in (10, 11, 12)]


def main() -> None:
    """Measure and print JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", choices=sorted(SIZES), default="large")
    arguments.add_argument("--partitions", type=int, default=20)
    arguments.add_argument("--memory-limit", default="2GB", help="of one DuckDB at a time")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as home:
        settings = load_settings(
            {
                "JINKONG_HOME": home,
                "JINKONG_FEATURE_PARTITIONS": str(chosen.partitions),
                "JINKONG_MEMORY_LIMIT": chosen.memory_limit,
            }
        )
        workspace = Workspace.of(settings)
        steps: dict[str, Callable[[], Any]] = {
            "data": lambda: load_data(settings, SimulatedSource(chosen.size), Silence()),
            "identity": lambda: link_customers(settings, Silence()),
            "features": lambda: compute_features(settings, loaded_views(settings), INSTANTS, Silence()),
        }
        measured = {name: measure(step) for name, step in steps.items()}
        rows = {folder.name: feature_rows(folder) for folder in sorted(workspace.features.iterdir())}
    print(  # noqa: T201 - the result
        json.dumps(
            {
                "benchmark": "scale out",
                "size": chosen.size,
                "partitions": chosen.partitions,
                "instants": len(INSTANTS),
                "rows": rows,
                "steps": measured,
            },
            indent=2,
        )
    )


def measure(step: Callable[[], Any]) -> dict[str, float]:
    """Seconds and peak memory (bytes) of a step."""
    began = time.perf_counter()
    with peak_memory() as memory:
        step()
    return {"seconds": time.perf_counter() - began, "peak_memory_bytes": memory.peak_bytes}


def feature_rows(folder: Path) -> int:
    """Rows of a view's files."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


if __name__ == "__main__":
    main()

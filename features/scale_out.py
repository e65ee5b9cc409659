"""Feature rows of a large group: the same views on each partition of the parties, as tasks on Ray."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

from features.compute import Fingerprints, compute_views, feature_file, rows_if_current
from features.partitions import partition_by_party
from features.windows import DeclaredView


def compute_views_on_ray(
    views: Sequence[DeclaredView],
    canonical: Path,
    features: Path,
    instants: Sequence[datetime],
    *,
    partitions: int,
    scratch: Path,
    threads: int,
    memory_limit: str = "",
    fingerprints: Fingerprints | None = None,
    progress: Callable[[int], None] = lambda _rows: None,
) -> dict[str, int]:
    """Write ``features/<view>/as_of_<date>.partition-<n>.parquet``; return the rows of each view.

    The rows are those of ``compute_views``, spread over the partitions' files. Ray must have been started; on a
    cluster the folders must be ones that all nodes share. Every task takes one CPU and at most ``memory_limit``.

    Args:
        views: the views.
        canonical: the canonical tables, with ``parties``.
        features: where the feature rows go.
        instants: as of when.
        partitions: into how many parts the parties are hashed; a part should fit a worker's memory.
        scratch: a folder for the partitioned tables, removed at the end.
        threads: of the partitioning.
        memory_limit: of DuckDB in one task, such as ``2GB``.
        fingerprints: of ``feature_fingerprints``; files that were computed from the same are left as they are.
        progress: is told the rows of each partition once it is done.

    Raises:
        ContractBroken: a view reads a table that was not loaded.
    """
    import ray  # noqa: PLC0415 - a group that fits one process never pays for it

    tables = sorted({"customers"} | {view.table for view in views})
    suffixes = [f".partition-{number:04d}" for number in range(partitions)]
    rows = _current_rows(views, features, instants, suffixes, fingerprints or {})
    if rows is not None:
        progress(sum(rows.values()))
        return dict(rows)
    rows = Counter({view.name: 0 for view in views})
    task = ray.remote(num_cpus=1, max_retries=2)(_compute_partition)
    try:
        folders = partition_by_party(
            canonical, scratch, tables, partitions, threads=threads, memory_limit=memory_limit
        )  # fmt: skip
        waiting = [
            task.remote(views, str(folder), str(features), instants, memory_limit, suffix, fingerprints)
            for folder, suffix in zip(folders, suffixes, strict=True)
        ]
        while waiting:
            done, waiting = ray.wait(waiting)
            for counts in ray.get(done):
                rows.update(counts)
                progress(sum(counts.values()))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return dict(rows)


def _compute_partition(
    views: Sequence[DeclaredView],
    canonical: str,
    features: str,
    instants: Sequence[datetime],
    memory_limit: str,
    suffix: str,
    fingerprints: Fingerprints | None,
) -> dict[str, Any]:
    return compute_views(
        views,
        Path(canonical),
        Path(features),
        instants,
        threads=1,
        memory_limit=memory_limit,
        suffix=suffix,
        fingerprints=fingerprints,
    )


def _current_rows(
    views: Sequence[DeclaredView],
    features: Path,
    instants: Sequence[datetime],
    suffixes: Sequence[str],
    fingerprints: Fingerprints,
) -> Counter[str] | None:
    """The rows of each view where every file is current; None as soon as one is not, as the tables are needed then."""
    rows: Counter[str] = Counter()
    for view, instant, suffix in product(views, instants, suffixes):
        mark = fingerprints.get((view.name, instant), "")
        found = rows_if_current(feature_file(features, view.name, instant, suffix), mark)
        if found is None:
            return None
        rows[view.name] += found
    return rows

"""Five million scored rows of sixty columns against a reference of a million: ours, and Evidently alone.

Each side runs in a process of its own, whose peak memory is measured: ``python -m tests.bench.drift_scale SIDE …``
prints its seconds, rows and distances as JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from group.libraries import prepare_libraries

prepare_libraries()

from features.connection import bounded_connection  # noqa: E402
from reporting.monitoring.counts import CountedRows  # noqa: E402
from reporting.monitoring.drift import data_drift  # noqa: E402
from training.reference import FEATURE, PROBABILITY, ReferenceRows, read_reference, write_reference  # noqa: E402

_COLUMNS: Final = 60
_BLOCK: Final = 250_000
_TEXTS: Final = 5
_MEMORY: Final = "2GB"
"""What DuckDB may hold; columns in NumPy come on top."""

_SEGMENTS: Final = {
    "legal_entity": ["credit", "guarantee", "leasing", "factoring", "consumer", "supply_chain"],
    "kind": ["person", "enterprise"],
    "product": [f"product_{number}" for number in range(6)],
}


def made(folder: Path, rows: int, reference_rows: int) -> None:
    """Write both sides' data: columns of amounts, scores, counts, codes and texts, some with values missing."""
    reference = pl.concat(_blocks(1, reference_rows, parties=reference_rows // 10))
    names = [name for name in reference.columns if name.startswith(FEATURE)]
    keys = reference.drop(names).with_columns(fold=pl.lit("train"), outcome=pl.lit(0.0))
    features = reference.select(names).rename({name: name.removeprefix(FEATURE) for name in names})
    write_reference(folder, ReferenceRows(keys, features))
    writer = None
    for block in _blocks(2, rows, parties=rows // 8):
        table = block.to_arrow()
        writer = writer or pq.ParquetWriter(folder / "scored.parquet", table.schema, compression="zstd")
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _blocks(seed: int, rows: int, parties: int) -> Iterator[pl.DataFrame]:
    rng = np.random.default_rng(seed)
    for first in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - first)
        columns: dict[str, Any] = {name: rng.choice(values, count) for name, values in _SEGMENTS.items()}
        columns["party_id"] = rng.integers(0, parties, count).astype(str)
        for number in range(_COLUMNS):
            columns[f"{FEATURE}f{number:02d}"] = _column(rng, number, count)
        columns[PROBABILITY] = rng.beta(1, 20, count)
        yield pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))


def _column(rng: np.random.Generator, number: int, count: int) -> Any:
    if number >= _COLUMNS - _TEXTS:
        return rng.choice([f"code_{place}" for place in range(12)], count)
    if number >= _COLUMNS - 2 * _TEXTS:
        return rng.integers(0, 6, count).astype(float)
    if number >= _COLUMNS - 4 * _TEXTS:
        return rng.poisson(3, count).astype(float)
    values = rng.lognormal(8, 1, count) if number % 2 else rng.normal(size=count)
    values[rng.random(count) < 0.1 * (number % 4)] = np.nan
    return values


def by_ours(folder: Path, rows: int, threads: int) -> dict[str, Any]:
    """All figures of drift, of all columns and all segments."""
    reference = read_reference(folder)
    began = time.perf_counter()
    with bounded_connection(threads, _MEMORY, str(folder / "spilled")) as connection:
        connection.read_parquet(str(reference.rows_file)).filter("fold = 'train'").create_view("reference_rows")
        connection.read_parquet(str(folder / "scored.parquet")).limit(rows).create_view("current_rows")
        drift = data_drift(
            CountedRows(connection, "reference_rows"), CountedRows(connection, "current_rows"), reference.columns,
            threads=threads,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    distances = {name: shape.wasserstein for name, shape in drift.shapes.items() if shape.wasserstein is not None}
    return {"seconds": seconds, "figures": len(drift.columns), "wasserstein": distances, "rows": rows}


def by_evidently(folder: Path, rows: int, reference_rows: int) -> dict[str, Any]:
    """Evidently's own report on drift of the same columns, of as many rows as are asked for."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [f"{FEATURE}f{number:02d}" for number in range(_COLUMNS)]
    numbers, texts = names[:-_TEXTS], names[-_TEXTS:]
    began = time.perf_counter()
    reference = pl.scan_parquet(folder / "rows.parquet").select(names).head(reference_rows).collect().to_pandas()
    current = pl.scan_parquet(folder / "scored.parquet").select(names).head(rows).collect().to_pandas()
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    report = Report([DataDriftPreset(num_method="wasserstein", cat_method="jensenshannon")])
    run = report.run(Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition))
    seconds = time.perf_counter() - began
    distances = {
        metric["config"]["column"]: float(metric["value"])
        for metric in run.dict()["metrics"]
        if metric["config"].get("column") in numbers
    }
    return {"seconds": seconds, "wasserstein": distances, "rows": rows, "reference_rows": reference_rows}


def measured(*command: object) -> dict[str, Any]:
    """What a side prints, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.drift_scale", *map(str, command)], check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """One side, as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("side", choices=["make", "ours", "evidently"])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("rows", type=int)
    arguments.add_argument("reference_rows", type=int)
    arguments.add_argument("--threads", type=int, default=2)
    chosen = arguments.parse_args()
    found: dict[str, Any] = {}
    if chosen.side == "make":
        made(chosen.folder, chosen.rows, chosen.reference_rows)
    elif chosen.side == "ours":
        found = by_ours(chosen.folder, chosen.rows, chosen.threads)
    else:
        found = by_evidently(chosen.folder, chosen.rows, chosen.reference_rows)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))  # noqa: T201 - the result


if __name__ == "__main__":
    main()

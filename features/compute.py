"""Compute feature rows: one Parquet file a view and instant, written whole or not at all."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.connection import bounded_connection
from features.errors import ContractBroken
from features.window_sql import VISIBLE_SQL
from group.files import written_whole

_FILE_PREFIX: Final = "as_of_"
_STAMP: Final = len("20250101T000000")
_FINGERPRINT: Final = "fingerprint"

Fingerprints = Mapping[tuple[str, datetime], str]
"""What the rows of each view and instant depend on, as a hash."""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """A view's name, its query, and the raw table it reads beside customers and parties."""

    name: str
    sql: str
    table: str


def compute_views(
    queries: Sequence[ViewQuery],
    canonical: Path,
    features: Path,
    instants: Sequence[datetime],
    *,
    threads: int,
    memory_limit: str = "",
    suffix: str = "",
    fingerprints: Fingerprints | None = None,
    progress: Callable[[str, datetime], None] = lambda _view, _instant: None,
) -> dict[str, int]:
    """Write ``features/<view>/as_of_<date><suffix>.parquet`` for each view and instant; return the rows of each view.

    ``memory_limit`` is for each of the queries that run at a time, at most ``threads``. ``progress`` is told from
    several threads. With ``fingerprints`` (``feature_fingerprints``), files that say they were computed from the same
    are left as they are.

    Raises:
        ContractBroken: a view reads a table that was not loaded.
    """
    for query in queries:
        if not any((canonical / query.table).glob("*.parquet")):
            raise ContractBroken(f"View '{query.name}' reads table '{query.table}', which was not loaded.")
    workers = max(1, min(threads, len(instants)))
    rows: Counter[str] = Counter({query.name: 0 for query in queries})

    def compute(instant: datetime) -> Counter[str]:
        targets = {query.name: feature_file(features, query.name, instant, suffix) for query in queries}
        marks = {query.name: (fingerprints or {}).get((query.name, instant), "") for query in queries}
        counts = Counter({name: rows_if_current(path, marks[name]) or 0 for name, path in targets.items()})
        waiting = [query for query in queries if rows_if_current(targets[query.name], marks[query.name]) is None]
        for query in queries:
            if query not in waiting:
                progress(query.name, instant)
        if waiting:
            with bounded_connection(max(1, threads // workers), memory_limit) as connection:
                _see(connection, canonical, instant)
                for query in waiting:
                    target = targets[query.name]
                    counts[query.name] = _write_view(connection, query, canonical, target, instant, marks[query.name])
                    progress(query.name, instant)
        return counts

    # Planning a query of so many columns takes DuckDB as long as running it on a small group, and one thread: so the
    # instants run side by side, each with its share of the threads.
    with ThreadPoolExecutor(workers) as pool:
        for counts in pool.map(compute, instants):
            rows.update(counts)
    return dict(rows)


def file_name(instant: datetime) -> str:
    """What the files of an instant begin with."""
    return f"{_FILE_PREFIX}{instant:%Y%m%dT%H%M%S}"


def feature_file(features: Path, view: str, instant: datetime, suffix: str = "") -> Path:
    """Where the rows of a view at an instant are kept."""
    return features / view / f"{file_name(instant)}{suffix}.parquet"


def computed_instants(features: Path) -> list[datetime]:
    """The instants at which some view was computed, ascending."""
    names = {path.name for path in features.glob(f"*/{_FILE_PREFIX}*.parquet")}
    stamps = {name.removeprefix(_FILE_PREFIX)[:_STAMP] for name in names}
    return sorted(datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for stamp in stamps)


def rows_if_current(path: Path, fingerprint: str) -> int | None:
    """The rows of a feature file that was computed from ``fingerprint``; None if it is absent or of another."""
    if not fingerprint:
        return None
    try:
        metadata = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return None
    mark = (metadata.metadata or {}).get(_FINGERPRINT.encode())
    return int(metadata.num_rows) if mark == fingerprint.encode() else None


def _see(connection: duckdb.DuckDBPyConnection, canonical: Path, instant: datetime) -> None:
    first, *others = VISIBLE_SQL
    parameters = {name: f"{canonical}/{name}/*.parquet" for name in ("customers", "parties")}
    connection.execute(first, {"as_of": instant, **parameters})
    for statement in others:
        connection.execute(statement)


def _write_view(
    connection: duckdb.DuckDBPyConnection,
    query: ViewQuery,
    canonical: Path,
    target: Path,
    instant: datetime,
    fingerprint: str,
) -> int:
    parameters = {
        "as_of": instant,
        "as_of_date": instant.date(),
        "rows": f"{canonical}/{query.table}/*.parquet",
    }
    used = {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", query.sql)}
    # COPY takes no parameters, so the rows are computed into a table first.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE computed AS {query.sql}", used)
    with written_whole(target) as part:
        path, mark = (text.replace("'", "''") for text in (str(part), fingerprint))
        connection.execute(
            f"COPY computed TO '{path}' (FORMAT parquet, COMPRESSION snappy, KV_METADATA {{{_FINGERPRINT}: '{mark}'}})"
        )
    connection.execute("DROP TABLE computed")
    return int(pq.read_metadata(target).num_rows)

"""Compute feature rows: one Parquet file a view and instant, written whole or not at all."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from features.connection import bounded_connection
from features.errors import ContractBroken
from features.window_sql import VISIBLE_SQL
from group.files import written_whole


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
    progress: Callable[[str, datetime], None] = lambda _view, _instant: None,
) -> dict[str, int]:
    """Write ``features/<view>/as_of_<date><suffix>.parquet`` for each view and instant; return the rows of each view.

    ``memory_limit`` is for each of the queries that run at a time, at most ``threads``. ``progress`` is told from
    several threads.

    Raises:
        ContractBroken: a view reads a table that was not loaded.
    """
    for query in queries:
        if not any((canonical / query.table).glob("*.parquet")):
            raise ContractBroken(f"View '{query.name}' reads table '{query.table}', which was not loaded.")
    workers = max(1, min(threads, len(instants)))
    rows: Counter[str] = Counter({query.name: 0 for query in queries})

    def compute(instant: datetime) -> Counter[str]:
        with bounded_connection(max(1, threads // workers), memory_limit) as connection:
            _see(connection, canonical, instant)
            return Counter({query.name: write(connection, query, instant) for query in queries})

    def write(connection: duckdb.DuckDBPyConnection, query: ViewQuery, instant: datetime) -> int:
        target = features / query.name / f"{file_name(instant)}{suffix}.parquet"
        count = _write_view(connection, query, canonical, target, instant)
        progress(query.name, instant)
        return count

    # Planning a query of so many columns takes DuckDB as long as running it on a small group, and one thread: so the
    # instants run side by side, each with its share of the threads.
    with ThreadPoolExecutor(workers) as pool:
        for counts in pool.map(compute, instants):
            rows.update(counts)
    return dict(rows)


def file_name(instant: datetime) -> str:
    """What the files of an instant begin with."""
    return f"as_of_{instant:%Y%m%dT%H%M%S}"


def _see(connection: duckdb.DuckDBPyConnection, canonical: Path, instant: datetime) -> None:
    first, *others = VISIBLE_SQL
    parameters = {name: f"{canonical}/{name}/*.parquet" for name in ("customers", "parties")}
    connection.execute(first, {"as_of": instant, **parameters})
    for statement in others:
        connection.execute(statement)


def _write_view(
    connection: duckdb.DuckDBPyConnection, query: ViewQuery, canonical: Path, target: Path, instant: datetime
) -> int:
    parameters = {
        "as_of": instant,
        "as_of_date": instant.date(),
        "rows": f"{canonical}/{query.table}/*.parquet",
    }
    used = {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", query.sql)}
    with written_whole(target) as part:
        connection.sql(query.sql, params=used).write_parquet(str(part), compression="snappy")
    return int(pq.read_metadata(target).num_rows)

"""Compute feature rows: one Parquet file a view and instant, written whole or not at all."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.connection import bounded_connection
from features.errors import ContractBroken
from features.sight import Sight, look
from features.window_sql import profile_sql, used_parameters
from features.window_values import Values, window_values
from features.windows import ENTITY_COLUMNS, DeclaredView, WindowView
from group.files import written_whole

_FILE_PREFIX: Final = "as_of_"
_STAMP: Final = len("20250101T000000")
FINGERPRINT: Final = "fingerprint"
"""The key, in a Parquet file's metadata, of what its rows were computed from."""

_Item = TypeVar("_Item")

Fingerprints = Mapping[tuple[str, datetime], str]
"""What the rows of each view and instant depend on, as a hash."""


def compute_views(
    views: Sequence[DeclaredView],
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

    A file holds a row for each party that a company knows at the instant, as the company sees it: ``legal_entity,
    party_id, event_timestamp, created_timestamp``, then the features as DOUBLE. ``memory_limit`` is for DuckDB at each
    of the instants that are computed at a time, at most ``threads``; slots and values in NumPy come to some 8 kB a
    customer beside it, and batches of rows to some 0.2 GB. ``progress`` is told from several threads. With
    ``fingerprints`` (``feature_fingerprints``), files that say they were computed from the same are left as they are.

    Raises:
        ContractBroken: a view reads a table that was not loaded.
    """
    for view in views:
        if not any((canonical / view.table).glob("*.parquet")):
            raise ContractBroken(f"View '{view.name}' reads table '{view.table}', which was not loaded.")
    workers = max(1, min(threads, len(instants)))
    rows: Counter[str] = Counter({view.name: 0 for view in views})

    def compute(instant: datetime) -> Counter[str]:
        targets = {view.name: feature_file(features, view.name, instant, suffix) for view in views}
        marks = {view.name: (fingerprints or {}).get((view.name, instant), "") for view in views}
        current = {view.name: rows_if_current(targets[view.name], marks[view.name]) for view in views}
        waiting = [view for view in views if current[view.name] is None]
        for view in views:
            if view not in waiting:
                progress(view.name, instant)
        if not waiting:
            return Counter({name: found or 0 for name, found in current.items()})

        def keep(name: str, sight: Sight, found: pa.Table) -> None:
            _write(targets[name], sight, found, instant, marks[name])
            progress(name, instant)

        known = _compute_instant(waiting, canonical, instant, max(1, threads // workers), memory_limit, keep)
        return Counter({name: known if found is None else found for name, found in current.items()})

    # What takes one thread on a small group, such as planning queries, is done for several instants at a time.
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
    mark = (metadata.metadata or {}).get(FINGERPRINT.encode())
    return int(metadata.num_rows) if mark == fingerprint.encode() else None


def _compute_instant(
    views: Sequence[DeclaredView],
    canonical: Path,
    instant: datetime,
    threads: int,
    memory_limit: str,
    keep: Callable[[str, Sight, pa.Table], None],
) -> int:
    """Compute views, the tables side by side, and give each to ``keep``; return the rows that each has."""
    with bounded_connection(threads, memory_limit) as connection:
        sight = look(connection, canonical, instant)

        def of_one_table(table: str, beside: duckdb.DuckDBPyConnection) -> None:
            together = [view for view in views if view.table == table]
            rows_of_table = f"{canonical}/{table}/*.parquet"
            with beside:
                windowed = [view for view in together if isinstance(view, WindowView)]
                values = window_values(beside, windowed, sight, rows_of_table, instant, work) if windowed else {}

                def of_one_view(view: DeclaredView, cursor: duckdb.DuckDBPyConnection) -> None:
                    with cursor:
                        keep(view.name, sight, _columns(cursor, view, values, sight, rows_of_table, instant))

                _all(work, of_one_view, together, beside)

        # Those who read a table wait for those who work on its batches; in one pool they could wait for ever.
        with ThreadPoolExecutor(threads) as reading, ThreadPoolExecutor(threads) as work:
            _all(reading, of_one_table, dict.fromkeys(view.table for view in views), connection)
    return len(sight.firsts)


def _all(
    pool: ThreadPoolExecutor,
    work: Callable[[_Item, duckdb.DuckDBPyConnection], None],
    items: Iterable[_Item],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Do the work on each item, with a cursor of its own, and wait for all of it even if some fails.

    A connection takes one call at a time and refuses others, a call for a cursor and its own closing among them.
    """
    done = [pool.submit(work, item, connection.cursor()) for item in items]
    wait(done)
    for one in done:
        one.result()


def _columns(
    connection: duckdb.DuckDBPyConnection,
    view: DeclaredView,
    values: Values,
    sight: Sight,
    rows: str,
    as_of: datetime,
) -> pa.Table:
    """The feature columns of a view, whose rows are the viewers in their order."""
    if isinstance(view, WindowView):
        columns = {feature.name: pa.array(values[feature], from_pandas=True) for feature in view.computed}
        columns["stated_income"] = pa.array(sight.stated_income, from_pandas=True)
        return _with_derived(connection, view, pa.table(columns))
    sql = profile_sql(view.features)
    return connection.sql(sql, params=used_parameters(sql, rows, as_of)).to_arrow_table()


def _with_derived(connection: duckdb.DuckDBPyConnection, view: WindowView, values: pa.Table) -> pa.Table:
    kept = values.select([feature.name for feature in view.windowed])
    if not view.derived:
        return kept
    connection.register("computed", values)
    expressions = ", ".join(f"({feature.expression})::DOUBLE AS {feature.name}" for feature in view.derived)
    derived = connection.sql(f"SELECT {expressions} FROM computed").to_arrow_table()  # noqa: S608 - declared here
    for name in derived.column_names:
        kept = kept.append_column(name, derived[name])
    return kept


def _write(target: Path, sight: Sight, features: pa.Table, instant: datetime, fingerprint: str) -> None:
    at = pa.repeat(pa.scalar(instant, pa.timestamp("us", "UTC")), len(sight.firsts))
    keys = {name: sight.viewers[name] for name in ENTITY_COLUMNS} | {"event_timestamp": at, "created_timestamp": at}
    columns = keys | dict(zip(features.column_names, features.columns, strict=True))
    # Chunks would become row groups; values differ too much for a dictionary to be worth its making.
    table = pa.table(columns, metadata={FINGERPRINT: fingerprint}).combine_chunks()
    with written_whole(target) as part:
        pq.write_table(table, part, compression="snappy", use_dictionary=["legal_entity"], write_statistics=list(keys))

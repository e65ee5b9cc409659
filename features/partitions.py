"""Canonical tables by hash of the party: each partition holds all that any company knows of its parties.

A partition is a folder of canonical tables like the whole, so the same queries run on it, and what they find of its
parties is what they would find in the whole. Memory is bounded by the partition, not by the group.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from features.connection import bounded_connection

_HEX_DIGITS = 8


def partition_by_party(
    canonical: Path, target: Path, tables: Sequence[str], partitions: int, *, threads: int, memory_limit: str = ""
) -> list[Path]:
    """Write ``target/partition-<n>/<table>/*.parquet`` for ``parties`` and ``tables``; return the partitions' folders.

    A party's partition is its hash modulo ``partitions``. Whatever was in ``target`` is replaced. Rows of customers
    that no party claims are left out: no feature sees them.
    """
    shutil.rmtree(target, ignore_errors=True)
    scratch = target / "scratch"
    scratch.mkdir(parents=True)
    with bounded_connection(threads, memory_limit, str(scratch)) as connection:
        # Rows may be written in any order, and then none have to be held back for the sake of one.
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""
            CREATE TEMP TABLE party_partition AS
            SELECT
                legal_entity,
                customer_id,
                (('0x' || left(md5(party_id), {_HEX_DIGITS}))::UBIGINT % {partitions})::INTEGER AS "partition"
            FROM read_parquet($parties)
            """,  # noqa: S608 - numbers of ours
            {"parties": f"{canonical}/parties/*.parquet"},
        )
        for table in ("parties", *tables):
            _write_table(connection, canonical / table, scratch / table)
    folders = [target / f"partition-{number:04d}" for number in range(partitions)]
    for table in ("parties", *tables):
        for number, folder in enumerate(folders):
            written = scratch / table / f"partition={number}"
            folder.mkdir(exist_ok=True)
            if written.is_dir():
                written.rename(folder / table)
            else:
                _write_empty(canonical / table, folder / table)
    shutil.rmtree(scratch)
    return folders


def _write_table(connection: duckdb.DuckDBPyConnection, table: Path, target: Path) -> None:
    # COPY takes no parameters: the paths are quoted as SQL texts.
    files, folder = (str(path).replace("'", "''") for path in (table / "*.parquet", target))
    connection.execute(
        f"""
        COPY (
            SELECT rows_of_table.*, party_partition."partition"
            FROM read_parquet('{files}') AS rows_of_table
            JOIN party_partition USING (legal_entity, customer_id)
        ) TO '{folder}' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY ("partition"))
        """  # noqa: S608 - paths of ours, quoted
    )


def _write_empty(table: Path, target: Path) -> None:
    target.mkdir(parents=True)
    schema = pq.read_schema(next(iter(sorted(table.glob("*.parquet")))))
    pq.write_table(schema.empty_table(), target / "part-0.parquet")

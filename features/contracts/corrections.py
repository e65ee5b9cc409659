"""Corrected rows: of several rows with one key, each counts from when it was learnt until the next one was.

Every canonical table has ``superseded_at``: when a later row with the same key was learnt, null where none was. A query
as of an instant leaves out what was superseded by then; what was known before the correction stays what it was.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from features.connection import bounded_connection
from features.contracts.tables import INSTANT, TableContract
from features.errors import ContractBroken

SUPERSEDED_AT: Final = "superseded_at"
PUSHED_SUFFIX: Final = ".pushed.parquet"
"""Ends the names of files with events that were pushed one by one."""

_SLICE_ROWS: Final = 20_000_000
"""Keys that are looked at in one go; of a larger table one share of the hashes after the other."""


def superseded_parts(contract: TableContract, parts: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """The parts whose ``superseded_at`` has to change, with all their rows as they should be.

    A pushed event that was delivered since, learnt at the same instant, is taken out of its part.

    Raises:
        ContractBroken: two rows with one key were learnt at the same instant.
    """
    versions = _versions(contract, list(parts.values()))
    if versions.is_empty():
        return {}
    key = list(contract.key)
    by_path = {str(path): part for part, path in parts.items()}
    pushed = pl.col("filename").str.ends_with(PUSHED_SUFFIX)
    # Delivered rows first: of two learnt at one instant, the pushed one goes.
    ordered = versions.with_columns(pushed=pushed).sort(*key, "created_timestamp", "pushed")
    same = pl.struct(*key, "created_timestamp")
    twice = ordered.filter(~pl.col("pushed")).filter(same.is_duplicated())
    if len(twice):
        row = twice.row(0, named=True)
        same_key = twice.filter(pl.all_horizontal(pl.col(name) == row[name] for name in key))
        raise ContractBroken(
            f"Table '{contract.name}': the key ({', '.join(key)}) = ({', '.join(str(row[name]) for name in key)}) "
            f"stands in more than one file ({', '.join(sorted({by_path[name] for name in same_key['filename']}))}); "
            "keep one of the rows, or give the one that corrects the other a later created_timestamp."
        )
    wanted = (
        ordered.unique([*key, "created_timestamp"], keep="first", maintain_order=True)
        .with_columns(wanted=pl.col("created_timestamp").shift(-1).over(key, order_by="created_timestamp"))
        .select(*key, "created_timestamp", "filename", "wanted")
    )
    compared = ordered.join(wanted, on=[*key, "created_timestamp", "filename"], how="left", nulls_equal=True)
    gone = compared.join(wanted, on=[*key, "created_timestamp", "filename"], how="anti")
    changed = compared.filter(pl.col("wanted").ne_missing(pl.col(SUPERSEDED_AT)))
    affected = pl.concat([gone["filename"], changed["filename"]]).unique().sort()
    return {
        by_path[name]: _rewritten(
            parts[by_path[name]], key, wanted.filter(filename=name), gone.filter(filename=name)
        )
        for name in affected
    }  # fmt: skip


def _versions(contract: TableContract, paths: Sequence[Path]) -> pl.DataFrame:
    """All rows of keys that occur more than once, and those that are marked and should perhaps not be."""
    names = [str(path) for path in paths]
    key = ", ".join(contract.key)
    with bounded_connection() as connection:
        [rows] = connection.execute("SELECT count(*) FROM read_parquet($names)", {"names": names}).fetchall()[0]
        slices = -(-rows // _SLICE_ROWS) or 1
        found = []
        for number in range(slices):
            # By hashes of the keys: a table of millions of texts would not fit where their hashes do.
            connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE repeated AS
                SELECT hash({key}) AS key_hash FROM read_parquet($names)
                WHERE hash({key}) % {slices} = {number}
                GROUP BY ALL HAVING count(*) > 1
                """,  # noqa: S608 - columns of a contract
                {"names": names},
            )
            rows_of_slice = connection.sql(
                f"""
                SELECT {key}, created_timestamp, {SUPERSEDED_AT}, filename
                FROM read_parquet($names, filename = true)
                WHERE hash({key}) % {slices} = {number}
                  AND (hash({key}) IN (SELECT key_hash FROM repeated) OR {SUPERSEDED_AT} IS NOT NULL)
                """,  # noqa: S608
                params={"names": names},
            )
            found.append(pl.DataFrame(pl.from_arrow(rows_of_slice.to_arrow_table())))
    frame = pl.concat(found)
    zoned = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(pl.col(zoned).dt.convert_time_zone("UTC").cast(INSTANT))


def _rewritten(path: Path, key: list[str], wanted: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    on = [*key, "created_timestamp"]
    rows = pl.read_parquet(path)
    return (
        rows.drop(SUPERSEDED_AT)
        .join(gone.select(on).cast({name: rows.schema[name] for name in on}), on=on, how="anti", maintain_order="left")
        .join(
            wanted.select(*on, pl.col("wanted").alias(SUPERSEDED_AT)).cast({name: rows.schema[name] for name in on}),
            on=on,
            how="left",
            maintain_order="left",
        )
        .select(rows.columns)
    )

"""Run DuckDB SQL over Parquet files and frames, and get a polars frame back."""

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl


def query(sql: str, parameters: Mapping[str, Any], **frames: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``sql``. ``parameters`` are its ``$names``; ``frames`` are tables it may name.

    Instants come back in the zone ``UTC``, which is what every other table has (DuckDB itself says ``Etc/UTC``).
    """
    with duckdb.connect() as connection:
        for name, frame in frames.items():
            connection.register(name, frame.to_arrow())
        result = pl.DataFrame(pl.from_arrow(connection.sql(sql, params=dict(parameters)).to_arrow_table()))
    zoned = [name for name, dtype in result.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone]
    return result.with_columns(pl.col(name).dt.convert_time_zone("UTC") for name in zoned)

"""Read raw files as they come (CSV, gzipped CSV, Parquet, Excel), and say what is wrong with one that cannot be.

A CSV file is read as texts: its types are the contract's business.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
from fastexcel import CalamineError, FastExcelError
from polars.exceptions import PolarsError

from features.errors import UnreadableFile

SUFFIXES: Final = (".parquet", ".csv", ".csv.gz", ".xlsx")


def table_files(folder: Path, table: str) -> list[Path]:
    """The files of ``table`` in ``folder``: ``<table>/*`` or ``<table>.<suffix>``; empty if there are none."""
    within = folder / table
    if within.is_dir():
        return sorted(path for path in within.iterdir() if path.name.endswith(SUFFIXES))
    return [path for suffix in SUFFIXES if (path := folder / f"{table}{suffix}").is_file()]


def read_table(path: Path, sheet: str | None = None) -> pl.DataFrame:
    """The rows of one file; of a workbook, those of ``sheet`` or of the first.

    Raises:
        UnreadableFile: it is absent, empty, cut off, not UTF-8, not a table, or of another format.
    """
    if path.is_dir():
        raise UnreadableFile(f"{path} is a folder; give the path of a file that ends in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise UnreadableFile(f"{path} is not there; give the path of a file that ends in {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise UnreadableFile(f"{path} is empty; it should hold a table with a header.")
    if path.name.endswith(".parquet"):
        return _read_parquet(path)
    if path.name.endswith((".csv", ".csv.gz")):
        return _read_csv(path)
    if path.name.endswith(".xlsx"):
        return _read_excel(path, sheet)
    raise UnreadableFile(f"{path} is of no format that is read here; give a file that ends in {', '.join(SUFFIXES)}.")


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (PolarsError, OSError) as error:
        raise UnreadableFile(f"{path} is not a whole Parquet file ({_first_line(error)}).") from None


def _read_excel(path: Path, sheet: str | None) -> pl.DataFrame:
    try:
        rows = pl.read_excel(path, sheet_name=sheet) if sheet else pl.read_excel(path)
    except (PolarsError, CalamineError, FastExcelError, ValueError, OSError) as error:
        raise UnreadableFile(f"{path} is not a workbook that can be read ({_first_line(error)}).") from None
    # A column without any value has no type.
    return rows.with_columns(pl.col(pl.Null).cast(pl.String))


def _read_csv(path: Path) -> pl.DataFrame:
    data = _unzipped(path) if path.name.endswith(".gz") else path.read_bytes()
    text = _decoded(data, path)
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise UnreadableFile(f"{path} has no header; its first line should name the columns.")
    if len(lines) == 1:
        raise UnreadableFile(f"{path} holds a header and no rows.")
    separator = ";" if lines[0].count(";") > lines[0].count(",") else ","
    if not text.endswith("\n") and lines[-1].count(separator) < lines[0].count(separator):
        raise UnreadableFile(f"{path} is cut off in the middle of line {len(lines)}.")
    try:
        return pl.read_csv(data, separator=separator, infer_schema=False)
    except PolarsError as error:
        raise UnreadableFile(
            f"{path} is not a table of {separator!r}-separated values ({_first_line(error)})."
        ) from None


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return b"".join(_blocks(stream))
    except EOFError:
        raise UnreadableFile(f"{path} is cut off: its compressed data end too early.") from None
    except (OSError, zlib.error) as error:
        raise UnreadableFile(f"{path} is not a whole gzip file ({_first_line(error)}).") from None


def _blocks(stream: gzip.GzipFile) -> Iterator[bytes]:
    while block := stream.read(1 << 20):
        yield block


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableFile(
            f"{path} is not UTF-8: line {line} has the byte 0x{data[error.start]:02x}; "
            "save it as UTF-8 (Excel: 'CSV UTF-8')."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

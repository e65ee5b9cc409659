"""Tables out of the house: CSV, Parquet or Excel, with a manifest that says what is in each file and its hash."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from features.contracts.ledger import content_hash
from features.errors import UnknownSource, UnsupportedSource
from group.files import write_text_whole, written_whole

_EXCEL_ROWS: Final = 1_048_575
"""Rows of a sheet below its header."""

FORMATS: Final = ("csv", "parquet", "xlsx")


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One exported file: its name, rows, columns, bytes and SHA-256."""

    file: str
    rows: int
    columns: tuple[str, ...]
    bytes: int
    sha256: str


def export(rows: pl.LazyFrame, name: str, folder: Path, written_as: str) -> ExportedFile:
    """Write rows as ``folder/<name>.<format>``, whole or not at all.

    Raises:
        UnsupportedSource: another format, or more rows than a sheet of Excel holds.
    """
    if written_as not in FORMATS:
        raise UnsupportedSource(f"'{written_as}' is no format of an export; give one of {', '.join(FORMATS)}.")
    target = folder / f"{name}.{written_as}"
    with written_whole(target) as part:
        if written_as == "parquet":
            rows.sink_parquet(part, compression="snappy")
        elif written_as == "csv":
            rows.sink_csv(part, include_bom=True, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        else:
            _write_excel(rows, name, part)
    found = _counted(rows)
    return ExportedFile(target.name, found, tuple(rows.collect_schema()), target.stat().st_size, content_hash(target))


def write_export_manifest(files: list[ExportedFile], folder: Path, source: str, made_at: datetime) -> Path:
    """Keep beside the files what they are; a receiver checks them with it."""
    path = folder / "manifest.json"
    content = {"source": source, "exported_at": made_at.isoformat(), "files": [asdict(file) for file in files]}
    write_text_whole(path, json.dumps(content, indent=2, ensure_ascii=False))
    return path


def exportable(canonical: Path, features: Path, frame: Path) -> dict[str, list[Path]]:
    """What there is to export, by name: canonical tables, feature views, and the training frame.

    A view that is named like a table, such as ``bureau``, is ``bureau_features`` here.
    """
    tables = {folder.name: sorted(folder.glob("*.parquet")) for folder in _holding_rows(canonical)}
    views = {
        f"{folder.name}_features" if folder.name in tables else folder.name: sorted(folder.glob("*.parquet"))
        for folder in _holding_rows(features)
    }
    return tables | views | ({"training_frame": [frame]} if frame.is_file() else {})


def _holding_rows(root: Path) -> list[Path]:
    return sorted({path.parent for path in root.glob("*/*.parquet")})


def rows_of(there: dict[str, list[Path]], name: str, legal_entity: str | None) -> pl.LazyFrame:
    """Rows of something exportable; with ``legal_entity``, only those of that company.

    Raises:
        UnknownSource: there is nothing of that name.
    """
    if name not in there:
        raise UnknownSource(f"There is no '{name}' to export; there are: {', '.join(there) or 'no tables yet'}.")
    rows = pl.scan_parquet(there[name])
    return rows.filter(pl.col("legal_entity") == legal_entity) if legal_entity else rows


def _write_excel(rows: pl.LazyFrame, name: str, path: Path) -> None:
    if _counted(rows) > _EXCEL_ROWS:
        raise UnsupportedSource(
            f"'{name}' has more than {_EXCEL_ROWS:,} rows, which no sheet holds; take csv or parquet."
        )
    frame = rows.collect()
    # A sheet knows no time zones, and numbers of 15 digits only: instants are texts, amounts stay numbers.
    instants = [column for column, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    texts = frame.with_columns(pl.col(instants).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    texts.write_excel(path, worksheet=name[:31], freeze_panes=(1, 0), autofilter=True)


def _counted(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())

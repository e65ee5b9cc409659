"""Load raw tables through their contracts: kept rows to the canonical tables, rejected ones to quarantine."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from features.contracts.tables import CONTRACTS, REQUIRED_TABLES, TableContract
from features.contracts.validation import REJECTION_SCHEMA, rules_broken, validate
from features.errors import ContractBroken
from features.sources.files import read_table, table_files

_EXAMPLES: Final = 3
_ROW_GROUP: Final = 65_536


@dataclass(frozen=True, slots=True)
class TableLoad:
    """What became of one raw table."""

    table: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    ignored_columns: tuple[str, ...]
    broken_rules: dict[str, int]

    @property
    def rejected_share(self) -> float:
        """Rejected rows among those read, 0 for an empty table."""
        return self.rows_rejected / self.rows_read if self.rows_read else 0.0


def load_tables(
    raw: Path,
    canonical: Path,
    quarantine: Path,
    *,
    rejected_share_limit: float,
    progress: Callable[[str], None] = lambda _table: None,
) -> list[TableLoad]:
    """Load every table found in ``raw`` and return one line a table, in the contracts' order.

    ``canonical/<table>/part-<n>.parquet`` and ``quarantine/<table>.parquet`` are written anew. ``progress`` is told
    each table once it is loaded.

    Raises:
        UnreadableFile: a file cannot be read.
        ContractBroken: a required table or a column is missing, a key occurs in two files, or a table's rejected
            share is above the limit; the quarantine is written all the same.
    """
    files = {name: table_files(raw, name) for name in CONTRACTS}
    absent = [name for name in REQUIRED_TABLES if not files[name]]
    if absent:
        raise ContractBroken(
            f"{raw} has no table {', '.join(absent)}; put <table>.csv, <table>.csv.gz, <table>.parquet or a folder "
            "<table> with such files there."
        )
    shutil.rmtree(canonical, ignore_errors=True)
    for folder in (canonical, quarantine):
        folder.mkdir(parents=True, exist_ok=True)
    loads = []
    known_customers = None
    for name, contract in CONTRACTS.items():
        if not files[name]:
            (quarantine / f"{name}.parquet").unlink(missing_ok=True)
            continue
        loads.append(_load_table(contract, files[name], canonical, quarantine, known_customers))
        if name == "customers":
            known_customers = pl.read_parquet(
                canonical / name / "*.parquet", columns=["legal_entity", "customer_id"]
            ).unique()
        progress(name)
    _require_few_rejections(loads, rejected_share_limit, quarantine)
    return loads


def _load_table(
    contract: TableContract,
    files: list[Path],
    canonical: Path,
    quarantine: Path,
    known_customers: pl.DataFrame | None,
) -> TableLoad:
    folder = canonical / contract.name
    folder.mkdir()
    read = kept = rejected = 0
    rejections: list[pl.DataFrame] = []
    ignored: dict[str, None] = {}
    for number, path in enumerate(files):
        verdict = validate(read_table(path), contract, path.name, known_customers=known_customers)
        # By time, so that a query of a window of days leaves most row groups unread.
        kept_by_time = verdict.kept.sort("event_timestamp", maintain_order=True)
        kept_by_time.write_parquet(
            folder / f"part-{number:05d}.parquet", compression="snappy", row_group_size=_ROW_GROUP
        )
        read += len(verdict.kept) + verdict.rows_rejected
        kept += len(verdict.kept)
        rejected += verdict.rows_rejected
        ignored |= dict.fromkeys(verdict.ignored_columns)
        rejections.append(verdict.rejections)
    broken = pl.concat(rejections) if rejections else pl.DataFrame(schema=REJECTION_SCHEMA)
    broken.write_parquet(quarantine / f"{contract.name}.parquet")
    if len(files) > 1:
        _require_unique_across_files(contract, folder)
    return TableLoad(contract.name, read, kept, rejected, tuple(ignored), rules_broken(broken))


def _require_unique_across_files(contract: TableContract, folder: Path) -> None:
    key = ", ".join(contract.key)
    twice = duckdb.execute(
        f"SELECT {key} FROM read_parquet($files) GROUP BY {key} HAVING count(*) > 1 LIMIT 1",  # noqa: S608
        {"files": f"{folder}/*.parquet"},
    ).fetchone()
    if twice is not None:
        raise ContractBroken(
            f"Table '{contract.name}': the key ({key}) = ({', '.join(map(str, twice))}) stands in more than one file; "
            "keep one of the rows."
        )


def _require_few_rejections(loads: list[TableLoad], limit: float, quarantine: Path) -> None:
    for line in loads:
        if line.rejected_share > limit:
            rules = "; ".join(f"{count} × {rule}" for rule, count in list(line.broken_rules.items())[:_EXAMPLES])
            raise ContractBroken(
                f"Table '{line.table}': {line.rows_rejected} of {line.rows_read} rows were rejected "
                f"({line.rejected_share:.2%}, allowed are {limit:.2%}): {rules}. "
                f"See {quarantine / line.table}.parquet, or set JINKONG_REJECTED_SHARE_LIMIT."
            )


def write_report(loads: list[TableLoad], path: Path) -> None:
    """Keep the lines of a load as JSON, for the steps that come after."""
    path.write_text(json.dumps([asdict(line) for line in loads], indent=2, ensure_ascii=False))


def read_report(path: Path) -> list[TableLoad]:
    """The lines that ``write_report`` kept."""
    return [
        TableLoad(**(line | {"ignored_columns": tuple(line["ignored_columns"])}))
        for line in json.loads(path.read_text())
    ]

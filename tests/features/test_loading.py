"""Loading tables: counts that add up, a quarantine that is kept, and a limit on what may be rejected."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from features.contracts import load_tables, read_report, write_report
from features.errors import ContractBroken
from tests.features.tables import a_customer, a_statement, frame

AT = datetime(2025, 3, 1, tzinfo=UTC)


def raw_folder(folder: Path, bad_statements: int = 0) -> Path:
    folder.mkdir()
    frame("customers", [a_customer()]).write_parquet(folder / "customers.parquet")
    statements = [
        a_statement(AT, loan_id=f"L{n}", amount_paid=Decimal(-1 if n < bad_statements else 1)) for n in range(100)
    ]
    frame("statements", statements).select(pl.all().cast(pl.String)).write_csv(folder / "statements.csv")
    frame("defaults", []).write_parquet(folder / "defaults.parquet")
    return folder


def load(tmp_path: Path, raw: Path, limit: float = 0.01) -> dict[str, tuple[int, int, int]]:
    loads = load_tables(raw, tmp_path / "canonical", tmp_path / "quarantine", rejected_share_limit=limit)
    write_report(loads, tmp_path / "load.json")
    assert read_report(tmp_path / "load.json") == loads
    return {line.table: (line.rows_read, line.rows_kept, line.rows_rejected) for line in loads}


def test_read_is_kept_plus_rejected_and_the_quarantine_says_why(tmp_path: Path) -> None:
    counts = load(tmp_path, raw_folder(tmp_path / "raw", bad_statements=1))
    assert counts == {"customers": (1, 1, 0), "statements": (100, 99, 1), "defaults": (0, 0, 0)}
    assert pl.read_parquet(tmp_path / "canonical/statements/*.parquet").height == 99
    [record] = pl.read_parquet(tmp_path / "quarantine/statements/*.parquet").to_dicts()
    assert (record["file"], record["row_number"], record["column"], record["value"], record["rule"]) == (
        "statements.csv", 1, "amount_paid", "-1.00", "is not negative",
    )  # fmt: skip


def test_more_rejected_rows_than_allowed_fail_the_load_and_keep_the_quarantine(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw", bad_statements=5)
    with pytest.raises(ContractBroken, match=r"5 of 100 rows were rejected \(5\.00%, allowed are 1\.00%\): 5 × amount"):
        load(tmp_path, raw)
    assert pl.read_parquet(tmp_path / "quarantine/statements/*.parquet").height == 5
    assert load(tmp_path, raw, limit=0.05)["statements"] == (100, 95, 5)


def test_a_required_table_that_is_absent_is_named(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw")
    (raw / "statements.csv").unlink()
    with pytest.raises(ContractBroken, match=r"has no table statements; put <table>\.csv"):
        load(tmp_path, raw)


def test_a_key_in_two_files_is_found(tmp_path: Path) -> None:
    raw = raw_folder(tmp_path / "raw")
    (raw / "statements.csv").unlink()
    (raw / "statements").mkdir()
    for part in ("a", "b"):
        frame("statements", [a_statement(AT)]).write_parquet(raw / "statements" / f"{part}.parquet")
    with pytest.raises(ContractBroken, match=r"stands in more than one file"):
        load(tmp_path, raw)


def test_a_second_load_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    load(tmp_path, raw_folder(tmp_path / "raw", bad_statements=1))
    load(tmp_path, raw_folder(tmp_path / "raw2"))
    assert not list((tmp_path / "quarantine").rglob("*.parquet"))
    assert pl.read_parquet(tmp_path / "canonical/statements/*.parquet").height == 100

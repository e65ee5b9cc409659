"""The UCI bank-marketing file: every call a contact, dated as far as the file tells, and never its duration."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from features.contracts import load_tables
from features.errors import ContractBroken
from features.sources.uci_bank_marketing import read_uci_bank_marketing

HEADER = "age;job;marital;education;contact;month;day_of_week;duration;pdays;poutcome;y\n"


def read(tmp_path: Path, lines: str, limit: float = 0.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    path = tmp_path / "bank.csv"
    path.write_text(HEADER + lines)
    read_uci_bank_marketing(path, tmp_path / "raw", tmp_path / "quarantine", rejected_share_limit=limit)
    load_tables(tmp_path / "raw", tmp_path / "canonical", tmp_path / "quarantine", rejected_share_limit=0)
    tables = (pl.read_parquet(tmp_path / "canonical" / name / "*.parquet") for name in ("customers", "contacts"))
    customers, contacts = tables
    return customers, contacts.sort("customer_id", "event_timestamp")


def test_years_grow_where_the_months_begin_anew_and_earlier_calls_are_contacts(tmp_path: Path) -> None:
    _, contacts = read(
        tmp_path,
        "56;housemaid;married;basic.4y;telephone;may;mon;261;999;nonexistent;no\n"
        "30;admin.;single;university.degree;cellular;dec;wed;100;6;success;yes\n"
        "30;admin.;divorced;unknown;unknown;mar;fri;100;999;nonexistent;no\n",
    )
    assert contacts.select("campaign_id", "event_timestamp", "channel", "took_up").rows() == [
        ("2008-05", datetime(2008, 5, 5, 10, tzinfo=UTC), "telephone", False),
        ("earlier", datetime(2008, 11, 26, 10, tzinfo=UTC), None, True),
        ("2008-12", datetime(2008, 12, 3, 10, tzinfo=UTC), "cellular", True),
        ("2009-03", datetime(2009, 3, 6, 10, tzinfo=UTC), None, False),
    ]


def test_what_a_call_lasted_is_nowhere(tmp_path: Path) -> None:
    read(tmp_path, "56;housemaid;married;basic.4y;telephone;may;mon;424242;999;nonexistent;no\n")
    for path in (tmp_path / "canonical").rglob("*.parquet"):
        rows = pl.read_parquet(path)
        assert "duration" not in rows.columns
        assert "424242" not in rows.select(pl.all().cast(pl.String)).write_csv()


def test_a_row_that_uci_does_not_document_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="the first is row 1, where month = 'mai' but must be such that it is one"):
        read(tmp_path, "56;housemaid;married;basic.4y;telephone;mai;mon;261;999;nonexistent;no\n")


def test_the_real_file_keeps_all_its_calls(bank_marketing_file: Path, tmp_path: Path) -> None:
    with gzip.open(bank_marketing_file, "rt") as file:
        lines = file.readlines()
    load = read_uci_bank_marketing(
        bank_marketing_file, tmp_path / "raw", tmp_path / "quarantine", rejected_share_limit=0
    )
    assert (load.rows_read, load.rows_rejected) == (len(lines) - 1, 0)
    assert "duration" in load.ignored_columns
    contacts = pl.read_parquet(tmp_path / "raw/contacts/*.parquet")
    calls = contacts.filter(pl.col("campaign_id") != "earlier")
    assert len(calls) == 41_188
    assert calls["took_up"].mean() == pytest.approx(0.1127, abs=1e-4)
    assert calls["event_timestamp"].min().year == 2008  # type: ignore[union-attr]
    assert calls["event_timestamp"].max().year == 2010  # type: ignore[union-attr]
    assert len(contacts) - len(calls) == 1_515

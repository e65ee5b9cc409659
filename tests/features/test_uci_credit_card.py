"""The UCI credit-card file as canonical tables."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from features.contracts import load_tables
from features.errors import ContractBroken
from features.sources.uci_credit_card import read_uci_credit_card

OWN = [
    "CREDIT_LIMIT", "SEX", "EDUCATION", "MARITALSTATUS", "AGE", *(f"PAYMENTDELAY_{n}" for n in range(1, 7)),
    *(f"BILL_AMT{n}" for n in range(1, 7)), *(f"PAID_AMT{n}" for n in range(1, 7)), "DID_DEFAULT_PAYMENT",
]  # fmt: skip
UCI = [
    "LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", "PAY_0", *(f"PAY_{n}" for n in range(2, 7)),
    *(f"BILL_AMT{n}" for n in range(1, 7)), *(f"PAY_AMT{n}" for n in range(1, 7)), "default payment next month",
]  # fmt: skip
CARD = [20_000, 2, 2, 1, 24, 2, 2, -1, -1, -2, -2, 3_913, 3_102, 689, 0, -120, 0, 0, 689, 0, 0, 0, 0, 1]


def a_file(path: Path, header: list[str], rows: list[list[int]]) -> Path:
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def convert(path: Path, folder: Path) -> dict[str, pl.DataFrame]:
    read_uci_credit_card(path, folder / "raw", folder / "quarantine", rejected_share_limit=0.01)
    return {table.name: pl.read_parquet(table / "*.parquet") for table in sorted((folder / "raw").iterdir())}


def test_a_card_becomes_a_customer_with_six_statements_and_a_default(tmp_path: Path) -> None:
    tables = convert(a_file(tmp_path / "cards.csv", OWN, [CARD]), tmp_path)
    customer = tables["customers"].row(0, named=True)
    assert (customer["gender"], customer["education"], customer["marital_status"]) == ("female", "bachelor", "married")
    statements = tables["statements"].sort("event_timestamp")
    assert [at.month for at in statements["event_timestamp"]] == [4, 5, 6, 7, 8, 9]
    assert statements["days_past_due"].to_list() == [0, 0, 0, 0, 60, 60]
    assert statements["payment_behaviour"].to_list() == [
        "no_use",
        "no_use",
        "paid_in_full",
        "paid_in_full",
        "late",
        "late",
    ]
    assert [float(amount) for amount in statements["statement_balance"]] == [0, -120, 0, 689, 3_102, 3_913]
    assert [float(amount) for amount in statements["amount_paid"]] == [0, 0, 0, 0, 689, 0]
    assert tables["defaults"]["event_timestamp"][0] > statements["event_timestamp"].max()


def test_ucis_own_column_names_give_the_same_tables(tmp_path: Path) -> None:
    no_default = [*CARD[:-1], 0]
    own = convert(a_file(tmp_path / "own.csv", OWN, [CARD, no_default]), tmp_path / "own")
    uci = convert(a_file(tmp_path / "uci.csv", UCI, [CARD, no_default]), tmp_path / "uci")
    assert own.keys() == uci.keys()
    assert all(own[name].equals(uci[name]) for name in own)
    assert len(own["defaults"]) == 1


@pytest.mark.parametrize(
    ("place", "value", "says"), [(1, 3, "SEX = '3'"), (0, -5, "CREDIT_LIMIT"), (4, 7, "AGE = '7'")]
)
def test_a_file_with_values_that_uci_does_not_document_is_refused_with_the_first(
    tmp_path: Path, place: int, value: int, says: str
) -> None:
    wrong = [*CARD]
    wrong[place] = value
    with pytest.raises(
        ContractBroken, match=f"1 of 2 rows are not what UCI documents; the first is row 2, where {says}"
    ):
        convert(a_file(tmp_path / "cards.csv", OWN, [CARD, wrong]), tmp_path)


def test_two_columns_that_mean_the_same_are_named(tmp_path: Path) -> None:
    path = a_file(tmp_path / "cards.csv", ["LIMIT_BAL", *OWN], [[1, *CARD]])
    with pytest.raises(ContractBroken, match="the columns LIMIT_BAL, CREDIT_LIMIT all mean CREDIT_LIMIT; keep one"):
        convert(path, tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="needs the column DID_DEFAULT_PAYMENT"):
        convert(a_file(tmp_path / "cards.csv", OWN[:-1], [CARD[:-1]]), tmp_path)


def test_the_real_file_keeps_all_its_rows_and_amounts(uci_file: Path, tmp_path: Path) -> None:
    tables = convert(uci_file, tmp_path)
    load_tables(tmp_path / "raw", tmp_path / "canonical", tmp_path / "quarantine", rejected_share_limit=0)
    with gzip.open(uci_file) as stream:
        raw = pl.read_csv(stream.read())
    assert len(tables["customers"]) == len(raw) == 30_000
    assert len(tables["statements"]) == 180_000
    assert len(tables["defaults"]) == raw["DID_DEFAULT_PAYMENT"].sum() == 6_636
    billed = sum(int(raw[f"BILL_AMT{n}"].sum()) for n in range(1, 7))
    assert int(tables["statements"]["statement_balance"].sum()) == billed
    late = sum(int((raw[f"PAYMENTDELAY_{n}"] > 0).sum()) for n in range(1, 7))
    assert tables["statements"].filter(pl.col("payment_behaviour") == "late").height == late

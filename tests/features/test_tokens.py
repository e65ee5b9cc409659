"""Identity and phone numbers are kept as tokens: the same for the same number, in every company, and told to nobody."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import load_tables
from features.contracts.tokens import Tokens
from features.errors import ContractBroken
from tests.features.tables import a_customer, a_default, a_statement, frame

KEY = "k" * 32
PERSON = "11010519491231002X"
START = datetime(2025, 3, 1, tzinfo=UTC)


def tokens_of(key: str | None, **columns: list[str | None]) -> pl.DataFrame:
    return Tokens(key).of("customers", pl.DataFrame(columns), "customers.csv")


def test_however_a_number_is_written_it_has_one_token_and_an_owner_is_the_person_that_it_is() -> None:
    rows = tokens_of(
        KEY,
        identity_token=[PERSON, "110105 19491231 002x", None, "another"],
        owner_identity_token=[None, PERSON, None, None],
        phone_token=["13800138000", "+86 138-0013-8000", "008613800138000", None],
    )
    [one, same, nothing, other] = rows["identity_token"]
    assert one == same == rows["owner_identity_token"][1]
    assert nothing is None
    assert other != one
    assert rows["phone_token"].n_unique() == 2
    assert one.startswith("tk_")
    assert tokens_of(KEY, identity_token=[one])["identity_token"][0] == one
    assert tokens_of("l" * 32, identity_token=[PERSON])["identity_token"][0] != one
    # A phone number is no identity number, even where both are written alike.
    assert tokens_of(KEY, identity_token=["13800138000"])["identity_token"][0] != rows["phone_token"][0]


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, unique_by=lambda value: value.upper()))
def test_other_texts_have_other_tokens_and_none_shows_its_text(values: list[str]) -> None:
    rows = tokens_of(KEY, identity_token=list(values))
    for value, token in zip(values, rows["identity_token"], strict=True):
        if value.strip() and not value.startswith("tk_"):
            assert len(token) == 35
            assert len(value) < 4 or value not in token


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("identity_token", PERSON),
        ("owner_identity_token", "110105491231002"),
        ("identity_token", "91110108MA01KPGK8H"),
        ("phone_token", "13800138000"),
        ("phone_token", "+86 138 0013 8000"),
    ],
)
def test_without_a_key_numbers_are_refused_and_tokens_taken(column: str, value: str) -> None:
    with pytest.raises(ContractBroken, match="JINKONG_IDENTITY_KEY") as refused:
        tokens_of(None, **{column: list[str | None](["4a64dd32da1af7e9bf6f76e5", value])})
    assert value not in str(refused.value)
    delivered: list[str | None] = ["4a64dd32da1af7e9bf6f76e5", "T1", None]
    assert tokens_of(None, **{column: list(delivered)})[column].to_list() == delivered


def test_no_file_of_a_load_holds_a_number_and_another_key_loads_anew(tmp_path: Path) -> None:
    raw, canonical, quarantine = (tmp_path / name for name in ("raw", "canonical", "quarantine"))
    rows = [a_customer(identity_token=PERSON, phone_token="13800138000")]
    raw.mkdir()
    delivered = {"customers": rows, "statements": [a_statement(START)], "defaults": [a_default(START)]}
    for table, some in delivered.items():
        frame(table, some).write_parquet(raw / f"{table}.parquet")

    def load(key: str) -> str:
        lines = load_tables(
            raw, canonical, quarantine, rejected_share_limit=0.5, now=datetime(2026, 1, 1, tzinfo=UTC),
            tokens=Tokens(key),
        )  # fmt: skip
        customers = next(line for line in lines if line.table == "customers")
        reused.append(customers.files_reused)
        return str(pl.read_parquet(canonical / "customers" / "*.parquet")["identity_token"][0])

    reused: list[int] = []
    first, again, other = load(KEY), load(KEY), load("l" * 32)
    assert first == again != other
    assert reused == [0, 1, 0]
    for path in [*canonical.rglob("*"), *quarantine.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert PERSON.encode() not in content
            assert b"13800138000" not in content

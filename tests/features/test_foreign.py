"""Foreign tables in, by a mapping or by name; and our tables out, with hashes."""

import hashlib
import json
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from features.contracts import validate
from features.contracts.tables import CONTRACTS
from features.errors import UnknownSource, UnreadableFile, UnsupportedSource, UnusableMapping
from features.exports import export, exportable, rows_of, write_export_manifest
from features.sources.foreign import DatabaseTables, DatabaseUnreachable, FolderTables
from features.sources.foreign_source import ForeignSource, preview
from features.sources.mapping import TableMapping, mapped, read_mapping
from pipelines.command import app
from tests.features.tables import a_customer, a_default, a_statement, frame

NOW = datetime(2025, 6, 1, tzinfo=UTC)

MAPPING = """
tables:
  customers:
    from: clients.xlsx#People
    columns:
      legal_entity: {value: consumer}
      customer_id: client_no
      kind: {value: person}
      name: full_name
      birth_or_founding_date: {column: born}
      gender: {column: sex, codes: {"1": male, "2": female}}
      income_per_month: {column: income_cents, divide_by: 100}
      currency: {value: CNY}
      marketing_consent: {value: false}
      share_within_group_consent: {column: shares, codes: {J: "true"}, otherwise: "false"}
      event_timestamp: {column: joined, format: "%d.%m.%Y %H:%M", zone: Asia/Shanghai}
      created_timestamp: {column: joined, format: "%d.%m.%Y %H:%M", zone: Asia/Shanghai}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    people = pl.DataFrame({
        "client_no": [17, 18, 19],
        "full_name": ["王芳", "李强", "陈涛"],
        "born": [date(1990, 5, 17), None, date(1980, 1, 2)],
        "sex": [2, 1, 7],
        "income_cents": [900_000, None, 1],
        "shares": ["J", "N", None],
        "joined": ["03.02.2024 07:30", "04.02.2024 00:00", "soon"],
        "shoe_size": [38, 44, 43],
    })  # fmt: skip
    path = tmp_path / "foreign"
    path.mkdir()
    people.write_excel(path / "clients.xlsx", worksheet="People")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return path


def source_of(folder: Path) -> ForeignSource:
    mapping = read_mapping(folder.parent / "mapping.yaml")
    return ForeignSource("folder-foreign", FolderTables(folder), mapping, NOW, 12)


def test_columns_codes_scales_and_zones_become_canonical(folder: Path) -> None:
    [(_, rows, unused)] = source_of(folder).mapped("customers")
    verdict = validate(rows, CONTRACTS["customers"], "clients.xlsx", now=NOW)
    first, second = verdict.kept.to_dicts()
    assert (first["customer_id"], first["gender"], first["income_per_month"]) == ("17", "female", Decimal("9000.00"))
    assert (first["birth_or_founding_date"], first["share_within_group_consent"]) == (date(1990, 5, 17), True)
    assert first["event_timestamp"] == datetime(2024, 2, 2, 23, 30, tzinfo=UTC)
    assert (second["gender"], second["income_per_month"], second["share_within_group_consent"]) == ("male", None, False)
    assert unused == ("shoe_size",)
    # Of the third, an unknown code and a time that is none reach the contract as they were.
    told = {(row["column"], row["value"]) for row in verdict.rejections.to_dicts()}
    assert {("gender", "7"), ("event_timestamp", "soon"), ("created_timestamp", "soon")} <= told


def test_a_dry_run_says_what_would_be_rejected_and_keeps_nothing(folder: Path, tmp_path: Path) -> None:
    [table] = preview(source_of(folder), examples=2, now=NOW)
    assert (table.load.rows_read, table.load.rows_kept, table.load.rows_rejected) == (3, 2, 1)
    assert table.unused == ("shoe_size",)
    assert len(table.rejections) == 2
    home = tmp_path / "home"
    arguments = ("data", "--source", "folder", "--path", str(folder), "--mapping", str(tmp_path / "mapping.yaml"))
    done = jinkong(*arguments, "--observed-until", "2025-01-01", "--dry-run", home=home)
    assert done.exit_code == 0, done.output
    assert "dry run: nothing was kept" in done.output
    assert "clients.xlsx row 3: gender is '7'; is one of male, female" in done.output
    assert "nothing was taken from shoe_size" in done.output
    assert not (home / "data").exists()


def jinkong(*arguments: str, home: Path) -> Result:
    return CliRunner().invoke(app, arguments, env={"JINKONG_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"})


@pytest.mark.parametrize(("text", "told"), [
    ("tables: [", "is no YAML"),
    ("tables: {}", "tables: Dictionary should have at least 1 item"),
    ("tables: {clients: {from: a, columns: {}}}", "'clients' is no canonical table; these are: customers,"),
    ("tables: {customers: {from: a, columns: {shoe: b}}}", "customers: 'shoe' is no column of it"),
    ("tables: {customers: {from: a, columns: {name: {column: a, value: b}}}}", "give either a column or a value"),
    ("tables: {customers: {from: a, columns: {name: {colum: a}}}}", "tables.customers.columns.name.colum: Extra"),
    ("tables: {customers: {from: a, columns: {name: {column: a, zone: Mars, format: x}}}}", "'Mars' is no time zone"),
    ("tables: {customers: {from: a, columns: {name: {column: a, zone: UTC}}}}", "a zone needs the format"),
    ("tables: {customers: {from: a, columns: {name: {column: a, otherwise: b}}}}", "otherwise is for codes"),
    ("!!python/object/apply:os.system [echo]", "is no YAML"),
])  # fmt: skip
def test_a_mapping_that_means_nothing_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    with pytest.raises(UnusableMapping, match=told.replace("(", r"\(")):
        read_mapping(path)


def test_a_column_that_the_foreign_table_lacks_is_named() -> None:
    mapping = TableMapping.model_validate({"from": "a.csv", "columns": {"name": "full_name"}})
    with pytest.raises(UnusableMapping, match=r"takes full_name from 'a.csv', which has the columns a, b\."):
        mapped("customers", mapping, pl.DataFrame({"a": [1], "b": [2]}))


@given(st.lists(st.integers(-(10**15), 10**15)), st.integers(1, 1_000_000))
def test_scaling_is_exact(amounts: list[int], by: int) -> None:
    mapping = TableMapping.model_validate(
        {"from": "a", "columns": {"income_per_month": {"column": "given", "divide_by": by}}}
    )
    found = mapped("customers", mapping, pl.DataFrame({"given": amounts}, schema={"given": pl.Int64})).rows
    assert [Decimal(text) for text in found["income_per_month"]] == [Decimal(amount) / by for amount in amounts]


def test_files_outside_the_folder_and_files_that_are_not_there(folder: Path) -> None:
    tables = FolderTables(folder)
    with pytest.raises(UnreadableFile, match="lies outside"):
        list(tables.batches("../mapping.yaml"))
    with pytest.raises(UnreadableFile, match="holds no 'loans'"):
        list(tables.batches("loans"))
    with pytest.raises(UnreadableFile, match="is not a workbook that can be read"):
        list(tables.batches("clients.xlsx#Nobody"))
    (folder / "broken.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(UnreadableFile, match="is not a workbook that can be read"):
        list(tables.batches("broken.xlsx"))


ROWS = {
    "customers": [a_customer(customer_id=f"C{number}", identity_token=f"T{number}") for number in range(30)],
    "statements": [
        a_statement(datetime(2024, 3, 1, tzinfo=UTC), customer_id=f"C{number}", loan_id=f"L{number}")
        for number in range(30)
    ],
    "defaults": [a_default(datetime(2024, 9, 1, tzinfo=UTC), customer_id="C3")],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def group_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'group.db'}"
        sqlite3.connect(tmp_path / "group.db").close()
    else:
        given: str = request.getfixturevalue("postgresql_url")
        url = given.replace("postgresql://", "postgresql+psycopg://")
    for table, rows in ROWS.items():
        texts = frame(table, rows).with_columns(
            pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%SZ"), pl.col(pl.Decimal).cast(pl.String)
        )
        texts.to_pandas().to_sql(table, create_engine_of(url), index=False)
    return url


def create_engine_of(url: str):  # type: ignore[no-untyped-def] # pandas wants SQLAlchemy's engine
    from sqlalchemy import create_engine

    return create_engine(url)


def test_tables_of_a_database_are_loaded(group_database: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    arguments = ("data", "--source", "database", "--url", group_database, "--observed-until", "2025-01-01")
    done = jinkong(*arguments, home=home)
    assert done.exit_code == 0, (done.output, done.exception)
    for table, rows in ROWS.items():
        kept = pl.read_parquet(home / "data/canonical" / table / "*.parquet").drop("superseded_at")
        wanted = frame(table, rows)
        assert kept.sort(pl.all()).equals(wanted.sort(pl.all())), table
    # Unchanged rows are not validated again.
    record = json.loads((home / "steps/data.json").read_text())["facts"]["files"]
    assert record["customers"] == {"loaded": 1, "reused": 0}
    assert jinkong(*arguments, home=home).exit_code == 0
    record = json.loads((home / "steps/data.json").read_text())["facts"]["files"]
    assert record["customers"] == {"loaded": 0, "reused": 1}


def test_a_database_that_cannot_deliver_is_told_without_its_password(tmp_path: Path, postgresql_url: str) -> None:
    with pytest.raises(UnknownSource, match=r"nobody\.db is no SQLite file"):
        DatabaseTables(f"sqlite:///{tmp_path / 'nobody.db'}")
    with pytest.raises(UnknownSource, match="cannot be read; write it as"):
        DatabaseTables("group.db")
    with pytest.raises(UnknownSource, match="No driver for oracle"):
        DatabaseTables("oracle+nobody://u:secret@host/db")
    away = DatabaseTables("postgresql+psycopg://user:secret@127.0.0.1:1/db")
    with pytest.raises(DatabaseUnreachable, match="does not deliver") as told:
        away.names()
    assert "secret" not in str(told.value)
    here = DatabaseTables(postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    assert here.names() == []
    with pytest.raises(UnknownSource, match="has no table 'loans; DROP TABLE x'"):
        list(here.batches("loans; DROP TABLE x"))
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("CREATE SCHEMA core")
        connection.execute("CREATE TABLE core.clients AS SELECT 1 AS id")
    [(_, rows)] = here.batches("core.clients")
    assert rows.rows() == [(1,)]


def test_what_is_exported_is_what_the_manifest_says(tmp_path: Path) -> None:
    canonical = tmp_path / "canonical"
    rows = frame("customers", [a_customer(), a_customer(legal_entity="credit", customer_id="C2", name="=1+1")])
    (canonical / "customers").mkdir(parents=True)
    rows.write_parquet(canonical / "customers/a.parquet")
    there = exportable(canonical, tmp_path / "features", tmp_path / "frame.parquet")
    assert list(there) == ["customers"]
    out = tmp_path / "out"
    files = [export(rows_of(there, "customers", None), "customers", out, kind) for kind in ("csv", "parquet", "xlsx")]
    manifest = json.loads(write_export_manifest(files, out, "folder-x", NOW).read_text())
    assert manifest["source"] == "folder-x"
    for line in manifest["files"]:
        content = (out / line["file"]).read_bytes()
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
        assert (line["rows"], line["bytes"], line["columns"]) == (2, len(content), rows.columns)
    assert pl.read_parquet(out / "customers.parquet").equals(rows)
    for name in ("customers.csv", "customers.xlsx"):
        read = FolderTables(out)
        [(_, back)] = read.batches(name)
        verdict = validate(back, CONTRACTS["customers"], name, now=NOW)
        assert verdict.kept.equals(rows), name
    one = export(rows_of(there, "customers", "credit"), "customers", out, "csv")
    assert one.rows == 1
    with pytest.raises(UnsupportedSource, match="'sas' is no format of an export; give one of csv, parquet, xlsx"):
        export(rows.lazy(), "customers", out, "sas")
    with pytest.raises(UnknownSource, match="There is no 'loans' to export; there are: customers"):
        rows_of(there, "loans", None)


def test_a_view_named_like_a_table_hides_it_from_no_export(tmp_path: Path) -> None:
    canonical, features = tmp_path / "canonical", tmp_path / "features"
    raw, view = frame("customers", [a_customer()]), pl.DataFrame({"legal_entity": ["consumer"], "inquiries": [1.0]})
    for folder, rows in ((canonical / "bureau", raw), (features / "bureau", view), (features / "profile", view)):
        folder.mkdir(parents=True)
        rows.write_parquet(folder / "a.parquet")
    there = exportable(canonical, features, tmp_path / "frame.parquet")
    assert list(there) == ["bureau", "bureau_features", "profile"]
    assert rows_of(there, "bureau", None).collect().equals(raw)
    assert rows_of(there, "bureau_features", None).collect().equals(view)


def test_a_sheet_that_cannot_hold_all_rows_is_not_cut_off(tmp_path: Path) -> None:
    rows = pl.LazyFrame({"number": range(1_048_576)})
    with pytest.raises(UnsupportedSource, match="has more than 1,048,575 rows, which no sheet holds"):
        export(rows, "many", tmp_path, "xlsx")
    assert not list(tmp_path.glob("many*"))

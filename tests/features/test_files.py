"""Reading files: what cannot be read is refused in one sentence that says what is wrong with it."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from features.errors import UnreadableFile
from features.sources.files import read_table, table_files

ROWS = "name,amount\n" + "".join(f"王芳{n},{n}.50\n" for n in range(500))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableFile) as refused:
        read_table(path)
    message = str(refused.value)
    assert refused.value.exit_code == 2
    assert message.startswith(str(path))
    assert message.count("\n") == 0
    return message


def test_csv_gzip_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + ROWS.encode())
    (tmp_path / "semicolon.csv").write_text(ROWS.replace(",", ";"), encoding="utf-8")
    read = read_table(tmp_path / "a.csv")
    assert read.height == 500
    assert read.schema == {"name": pl.String, "amount": pl.String}
    read.write_parquet(tmp_path / "c.parquet")
    for other in ("b.csv.gz", "bom.csv", "semicolon.csv", "c.parquet"):
        assert read_table(tmp_path / other).equals(read), other


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "is not there" in refusal(tmp_path / "missing.csv")


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["empty.csv", "empty.csv.gz", "empty.parquet"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert "is empty" in refusal(tmp_path / name)


def test_a_gzip_file_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "nothing.csv.gz").write_bytes(gzip.compress(b""))
    assert "has no header" in refusal(tmp_path / "nothing.csv.gz")


def test_a_header_without_rows(tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("name,amount\n")
    assert "a header and no rows" in refusal(tmp_path / "header.csv")


def test_a_truncated_gzip_file(tmp_path: Path) -> None:
    whole = gzip.compress(ROWS.encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "is cut off" in refusal(tmp_path / "cut.csv.gz")


def test_a_truncated_csv_file(tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_text(ROWS[:-8], encoding="utf-8")
    assert "is cut off in the middle of line 501" in refusal(tmp_path / "cut.csv")


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pl.DataFrame({"a": range(1_000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "is not a whole Parquet file" in refusal(path)


def test_a_mis_encoded_file_names_the_line_and_the_byte(tmp_path: Path) -> None:
    (tmp_path / "gbk.csv").write_bytes("name,amount\nan,1\n王芳,2\n".encode("gbk"))
    message = refusal(tmp_path / "gbk.csv")
    assert "is not UTF-8: line 3 has the byte 0xcd" in message
    assert "CSV UTF-8" in message


def test_a_line_with_more_cells_than_the_header(tmp_path: Path) -> None:
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    assert "is not a table of ','-separated values" in refusal(tmp_path / "ragged.csv")


def test_another_format(tmp_path: Path) -> None:
    (tmp_path / "table.xml").write_text("<table/>")
    assert "of no format that is read here" in refusal(tmp_path / "table.xml")


def test_a_table_is_one_file_or_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text("a\n1\n")
    (tmp_path / "statements").mkdir()
    for part in ("2.parquet", "1.csv", "notes.txt"):
        (tmp_path / "statements" / part).write_text("x")
    assert table_files(tmp_path, "loans") == [tmp_path / "loans.csv"]
    assert [path.name for path in table_files(tmp_path, "statements")] == ["1.csv", "2.parquet"]
    assert table_files(tmp_path, "bureau") == []

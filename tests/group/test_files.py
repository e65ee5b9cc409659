"""Files are there whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from group.files import write_text_whole, written_whole


def test_a_file_takes_its_name_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "rows.txt"
    with written_whole(target) as part:
        part.write_text("half")
        assert not target.exists()
        part.write_text("whole")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_what_fails_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "rows.txt"
    write_text_whole(target, "old")

    def fail() -> None:
        with written_whole(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_writer_leaves_the_old_file_and_nothing_that_a_reader_takes_for_rows(tmp_path: Path) -> None:
    target = tmp_path / "rows.parquet"
    write_text_whole(target, "old")
    code = f"""
import os, signal
from pathlib import Path
from group.files import written_whole
with written_whole(Path({str(target)!r})) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert target.read_text() == "old"
    assert list(tmp_path.glob("*.parquet")) == [target]

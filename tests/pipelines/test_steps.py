"""Steps: done again only when something they depend on has changed."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from group.home import HomeBusy, working_in
from pipelines.steps import FilesFailed, fingerprint, last_record, run_step
from pipelines.workspace import Workspace


class Work:
    """A step's work that counts how often it is done."""

    def __init__(self, facts: dict[str, Any] | None = None) -> None:
        self.facts = facts or {"rows": 3}
        self.times = 0

    def __call__(self) -> dict[str, Any]:
        self.times += 1
        return self.facts


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def there() -> bool:
    return True


def gone() -> bool:
    return False


def test_the_same_fingerprint_is_not_worked_on_twice(workspace: Workspace) -> None:
    work = Work()
    first = run_step(workspace, "data", "f1", work, still_there=there)
    second = run_step(workspace, "data", "f1", work, still_there=there)
    assert work.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert second.facts == {"rows": 3}
    assert last_record(workspace, "data") == first


@pytest.mark.parametrize(
    ("wanted", "results", "again"), [("f2", there, False), ("f1", gone, False), ("f1", there, True)]
)
def test_a_change_a_loss_or_a_wish_has_it_done_again(
    workspace: Workspace, wanted: str, results: Any, *, again: bool
) -> None:
    work = Work()
    run_step(workspace, "data", "f1", work, still_there=there)
    record = run_step(workspace, "data", wanted, work, still_there=results, again=again)
    assert work.times == 2
    assert not record.reused


def test_work_that_was_cut_off_counts_as_never_done(workspace: Workspace) -> None:
    run_step(workspace, "data", "f1", Work(), still_there=there)

    def cut_off() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step(workspace, "data", "f2", cut_off, still_there=there)
    assert last_record(workspace, "data") is None
    work = Work()
    run_step(workspace, "data", "f1", work, still_there=there)
    assert work.times == 1


@pytest.fixture
def little_room() -> Iterator[None]:
    """Files of this process may not grow beyond 20 kB: a write beyond fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("x" * 100_000),
        lambda path: pl.DataFrame({"a": range(100_000)}).write_parquet(path),
        lambda path: pq.write_table(pl.DataFrame({"a": range(100_000)}).to_arrow(), path),
        lambda path: duckdb.execute(f"COPY (SELECT random() FROM range(1000000)) TO '{path}' (FORMAT parquet)"),
    ],
    ids=["python", "polars", "pyarrow", "duckdb"],
)
def test_a_write_that_fails_is_told_in_a_sentence_whoever_writes(
    workspace: Workspace, tmp_path: Path, little_room: None, write: Callable[[Path], object]
) -> None:
    def work() -> dict[str, Any]:
        write(tmp_path / "file")
        return {}

    with pytest.raises(FilesFailed, match=r"Step 'data' could not read or write a file: .*File too large"):
        run_step(workspace, "data", "f1", work, still_there=there)
    assert last_record(workspace, "data") is None


def test_a_mistake_in_our_own_code_is_not_passed_off_as_a_full_disk(workspace: Workspace) -> None:
    def work() -> dict[str, Any]:
        return pl.DataFrame({"a": ["x"]}).select(pl.col("a").str.to_date("%Y")).to_dict()

    with pytest.raises(pl.exceptions.PolarsError):
        run_step(workspace, "data", "f1", work, still_there=there)


def test_a_record_that_cannot_be_read_counts_as_none(workspace: Workspace) -> None:
    run_step(workspace, "data", "f1", Work(), still_there=there)
    (workspace.steps / "data.json").write_text('{"step": "da')
    assert last_record(workspace, "data") is None


def test_a_fingerprint_depends_on_every_part_and_on_the_code() -> None:
    prints = {
        fingerprint("a", "b", code=("group",)),
        fingerprint("ab", "", code=("group",)),
        fingerprint("a", "c", code=("group",)),
        fingerprint("a", "b", code=("training",)),
    }
    assert len(prints) == 4
    assert fingerprint("a", code=("group", "features")) == fingerprint("a", code=("features", "group"))


def test_a_home_is_worked_in_by_one_at_a_time(workspace: Workspace) -> None:
    with working_in(workspace.home), pytest.raises(HomeBusy), working_in(workspace.home):
        pass
    with working_in(workspace.home):
        pass

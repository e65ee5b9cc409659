"""A day's run and a backfill, killed with -9 on the way: the next one completes it, and equals an undisturbed one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from features import VIEWS, online_reader
from features.catalogue import CREDIT_VIEWS
from group.errors import InputError
from group.settings import load_settings
from pipelines.backfill import backfill_instants
from tests.features.tables import JOINED, a_customer, a_default, a_statement, a_transaction, frame
from tests.pipelines.in_process import jinkong

pytestmark = pytest.mark.long

DAY = timedelta(days=1)
PARTIES = 40
FEATURES = [name for view in VIEWS if view.name in CREDIT_VIEWS for name in view.feature_names]


def deliver(raw: Path, months: int) -> None:
    """So many months of a small group, a file a table and month; the last one corrects a row of the first."""
    for table in ("customers", "statements", "transactions", "defaults"):
        (raw / table).mkdir(parents=True, exist_ok=True)
    people = [
        {"legal_entity": "consumer", "customer_id": f"C{n}", "identity_token": f"T{n}", "name": f"n{n}"}
        for n in range(PARTIES)
    ]
    frame("customers", [a_customer(**person) for person in people]).write_parquet(raw / "customers/all.parquet")
    keys = [{name: person[name] for name in ("legal_entity", "customer_id")} for person in people]
    frame("defaults", [a_default(JOINED + 9 * DAY, loan_id="L9", **keys[0])]).write_parquet(
        raw / "defaults/all.parquet"
    )
    for month in range(months):
        at = JOINED + (1 + 30 * month) * DAY
        statements = [a_statement(at, loan_id=f"L{n}", days_past_due=n + month, **key) for n, key in enumerate(keys)]
        if month == 8:
            statements.append(
                a_statement(JOINED + DAY, loan_id="L3", days_past_due=99, **keys[3] | {"created_timestamp": at})
            )
        frame("statements", statements).write_parquet(raw / f"statements/{month:02d}.parquet")
        spent = [a_transaction(1000 * month + n, at + n * timedelta(hours=1), **key) for n, key in enumerate(keys)]
        frame("transactions", spent).write_parquet(raw / f"transactions/{month:02d}.parquet")


DATA = ("data", "--source", "folder", "--observed-until", "2025-06-01", "--path")
BACKFILL = ("features", "backfill", "--from", "2024-06-01", "--to", "2024-06-12")


MORTAL = """
import os, signal, sys
from pathlib import Path

part, count = os.environ.pop("DIES_AT"), int(os.environ.pop("DIES_AFTER"))
rename = Path.replace

def mortal(path, target):
    global count
    if part in str(target):
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)

Path.replace = mortal
from pipelines.command import main
main()
"""
"""The command, which kills itself with -9 before it gives the file its name that comes after so many of such a path."""


def run(home: Path, *arguments: str) -> str:
    """The command to its end; what it printed."""
    done = jinkong(*arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def killed_run(home: Path, *arguments: str, at: str, after: int = 0) -> None:
    """The command until it has named ``after`` files whose path holds ``at``, and dies with -9 before the next."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINKONG_")}
    environment |= {"JINKONG_HOME": str(home), "DIES_AT": at, "DIES_AFTER": str(after)}
    done = subprocess.run(
        [sys.executable, "-c", MORTAL, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stdout


def a_day(home: Path, raw: Path) -> None:
    run(home, *DATA, str(raw))
    run(home, "features", "--as-of", "2024-09-20")


def left_behind(home: Path) -> tuple[dict[str, bytes], bytes]:
    """Every table and feature file, and what is online."""
    files = {
        str(path.relative_to(home)): path.read_bytes()
        for folder in ("data/canonical", "features")
        for path in (home / folder).rglob("*.parquet")
    }
    settings = load_settings({"JINKONG_HOME": str(home)})
    wanted = [name for name in FEATURES if name in online_features(home)]
    read = online_reader(settings, wanted).read([("consumer", party) for party in parties(home)])
    assert read.found.all()
    return files, read.values.tobytes()


def online_features(home: Path) -> set[str]:
    from features import feast_home, read_layout

    return set(read_layout(feast_home(load_settings({"JINKONG_HOME": str(home)})), "credit_pd").features)


def parties(home: Path) -> list[str]:
    import polars as pl

    return sorted(pl.read_parquet(home / "data/canonical/parties/*.parquet")["party_id"].unique())


def test_a_day_that_is_killed_anywhere_is_completed_by_the_next_run(tmp_path: Path) -> None:
    raw, undisturbed, killed = (tmp_path / name for name in ("raw", "undisturbed", "killed"))
    deliver(raw, 8)
    a_day(undisturbed, raw)
    shutil.copytree(undisturbed, killed)
    # The next day's delivery.
    deliver(raw, 9)
    a_day(undisturbed, raw)
    # While the new parts wait, while they take their places, and among the new feature files of a day.
    killed_run(killed, *DATA, str(raw), at=".staging-", after=1)
    placed = killed / "data/canonical/transactions/08.parquet"
    assert not placed.exists()
    killed_run(killed, *DATA, str(raw), at="data/canonical/statements/08.parquet")
    assert placed.exists()
    run(killed, *DATA, str(raw))
    killed_run(killed, "features", "--as-of", "2024-09-20", at="as_of_20240901T000000", after=3)
    assert len(list((killed / "features").glob("*/as_of_20240901T000000.parquet"))) == 3
    a_day(killed, raw)
    files, online = left_behind(killed)
    wanted, wanted_online = left_behind(undisturbed)
    assert files.keys() == wanted.keys()
    assert [name for name in files if files[name] != wanted[name]] == []
    assert online == wanted_online
    assert len(files) > 50


def test_a_backfill_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    raw, undisturbed, killed = (tmp_path / name for name in ("raw", "undisturbed", "killed"))
    deliver(raw, 8)
    for home in (undisturbed, killed):
        run(home, *DATA, str(raw))
    assert "12 instants from 2024-06-01 to 2024-06-12" in run(undisturbed, *BACKFILL)
    files = killed / "features"
    killed_run(killed, *BACKFILL, at="as_of_202406", after=30)
    done = {path: path.stat().st_mtime_ns for path in files.rglob("as_of_202406*.parquet")}
    assert len(done) == 30
    told = run(killed, *BACKFILL)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    names = {path.relative_to(killed): path.read_bytes() for path in files.rglob("*.parquet")}
    wanted = {path.relative_to(undisturbed): path.read_bytes() for path in undisturbed.rglob("features/**/*.parquet")}
    assert names == wanted
    total, views = len(names), len(list(files.iterdir()))
    # What the workflow had done is in its record; of the day that was cut off, finished files were kept.
    [computed] = re.findall(rf"2024-06-12; (\d+) of {total} files had to be computed", told)
    assert total - views <= int(computed) <= total
    # Once it has come to its end, the same command finds nothing to do.
    assert f"; 0 of {total} files had to be computed" in run(killed, *BACKFILL)


def test_the_instants_of_a_backfill() -> None:
    def days(first: date, last: date, every: str) -> list[str]:
        return [f"{instant:%m-%d}" for instant in backfill_instants(first, last, every)]  # type: ignore[arg-type]

    assert days(date(2024, 1, 30), date(2024, 2, 2), "day") == ["01-30", "01-31", "02-01", "02-02"]
    assert days(date(2024, 1, 1), date(2024, 1, 20), "week") == ["01-01", "01-08", "01-15"]
    assert days(date(2024, 1, 2), date(2024, 4, 1), "month") == ["02-01", "03-01", "04-01"]
    assert days(date(2024, 1, 1), date(2024, 1, 1), "month") == ["01-01"]
    assert len(backfill_instants(date(2024, 1, 1), date(2024, 12, 31), "day")) == 366
    tomorrow = datetime.now(UTC).date() + DAY
    for first, last, told in (
        (date(2024, 2, 1), date(2024, 1, 1), "--from must not be after --to"),
        (date(2024, 1, 1), tomorrow, "lies in the future"),
        (date(2000, 1, 1), date(2024, 1, 1), "4000 are the most"),
    ):
        with pytest.raises(InputError, match=told):
            days(first, last, "day")


@pytest.mark.parametrize("mistake", ["absent", "broken"])
def test_a_load_from_a_wrong_folder_costs_no_data(tmp_path: Path, mistake: str) -> None:
    raw, wrong, home = tmp_path / "raw", tmp_path / "wrong", tmp_path / "home"
    deliver(raw, 2)
    assert jinkong(*DATA, str(raw), home=home).returncode == 0
    before = {path: path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()}
    if mistake == "broken":
        deliver(wrong, 2)
        shutil.copy(wrong / "customers/all.parquet", wrong / "statements/00.parquet")
    failed = jinkong(*DATA, str(wrong), home=home)
    assert failed.returncode == 2, failed.stderr
    assert "Traceback" not in failed.stderr
    assert {path: path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()} == before
    # Another folder that is whole does take its place, and leaves nothing of either behind.
    other = tmp_path / "other"
    deliver(other, 3)
    assert jinkong(*DATA, str(other), home=home).returncode == 0
    assert not (home / "arriving").exists()
    assert len(list((home / "data/canonical/statements").glob("*.parquet"))) == 3


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (Path.unlink, "Of the files that were loaded 1 are gone"),
        (lambda part: part.write_bytes(part.read_bytes()[:-100]), "found a damaged file"),
    ],
)
def test_a_lost_or_damaged_file_is_told_and_loaded_anew(
    tmp_path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    raw, home = tmp_path / "raw", tmp_path / "home"
    deliver(raw, 3)
    assert jinkong(*DATA, str(raw), home=home).returncode == 0
    part = home / "data/canonical/transactions/01.parquet"
    whole = part.read_bytes()
    damage(part)
    failed = jinkong("features", home=home)
    assert failed.returncode != 0
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr
    part.unlink(missing_ok=True)
    assert jinkong(*DATA, str(raw), home=home).returncode == 0
    assert part.read_bytes() == whole
    assert jinkong("features", home=home).returncode == 0

"""The same queries by partition of the parties: the same rows as in one process, from folders of their own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from features import VIEWS, compute_views, compute_views_on_ray
from features.partitions import partition_by_party
from group.settings import load_settings
from pipelines.workspace import Workspace
from training import ray_session

INSTANTS = [datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 12, tzinfo=UTC)]


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[None]:
    """Ray in local mode with two CPUs, so two partitions run at a time."""
    with ray_session(load_settings({"JINKONG_HOME": str(tmp_path / "home"), "JINKONG_THREADS": "2"})):
        yield


@pytest.mark.long
def test_partitions_on_two_workers_give_the_rows_of_one_process(
    the_small_group: Workspace, tmp_path: Path, two_workers: None
) -> None:
    queries = [view.declared for view in VIEWS]
    alone = compute_views(queries, the_small_group.canonical, tmp_path / "alone", INSTANTS, threads=2)
    told: list[int] = []
    together = compute_views_on_ray(
        queries,
        the_small_group.canonical,
        tmp_path / "together",
        INSTANTS,
        partitions=5,
        scratch=tmp_path / "scratch",
        threads=2,
        memory_limit="500MB",
        progress=told.append,
    )
    assert together == alone
    assert (len(told), sum(told)) == (5, sum(alone.values()))
    assert not list((tmp_path / "scratch").rglob("*.parquet"))
    order = ["event_timestamp", "legal_entity", "party_id"]
    for view in VIEWS:
        one, many = (
            pl.read_parquet(tmp_path / run / view.name / "*.parquet").sort(order) for run in ("alone", "together")
        )
        assert len(list((tmp_path / "together" / view.name).iterdir())) == 5 * len(INSTANTS)
        assert one.equals(many), view.name


def test_a_partition_holds_all_customers_of_its_parties_and_all_their_rows(
    the_small_group: Workspace, tmp_path: Path
) -> None:
    tables = ["customers", "transactions", "contacts"]
    folders = partition_by_party(the_small_group.canonical, tmp_path / "parts", tables, 3, threads=2)
    parties = [set(pl.read_parquet(folder / "parties" / "*.parquet")["party_id"]) for folder in folders]
    whole = pl.read_parquet(the_small_group.canonical / "parties" / "*.parquet")
    assert sum(map(len, parties)) == whole["party_id"].n_unique()
    assert not parties[0] & parties[1]
    assert min(map(len, parties)) > 0.25 * len(set(whole["party_id"]))
    for table in tables:
        rows = [len(pl.read_parquet(folder / table / "*.parquet", columns=["customer_id"])) for folder in folders]
        assert sum(rows) == len(pl.read_parquet(the_small_group.canonical / table / "*.parquet"))


def test_a_partition_without_parties_is_an_empty_one(the_small_group: Workspace, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for table in ("customers", "parties", "transactions"):
        (few / table).mkdir(parents=True)
        rows = pl.read_parquet(the_small_group.canonical / table / "*.parquet")
        first = pl.read_parquet(the_small_group.canonical / "parties" / "*.parquet").head(1)
        keys = first.select("legal_entity", "customer_id")
        rows.join(keys, on=["legal_entity", "customer_id"], how="semi").write_parquet(few / table / "part.parquet")
    folders = partition_by_party(few, tmp_path / "parts", ["customers", "transactions"], 4, threads=1)
    queries = [view.declared for view in VIEWS if view.name in ("profile", "cash_flow")]
    counts = [
        compute_views(queries, folder, tmp_path / "features", INSTANTS[1:], threads=1, suffix=f".{folder.name}")
        for folder in folders
    ]
    assert sorted(count["cash_flow"] for count in counts) == [0, 0, 0, 1]

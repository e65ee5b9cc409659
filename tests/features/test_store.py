"""The feature store: nothing from the future comes through, and online and offline give equal bits."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from feast import FeatureStore

from features import VIEWS, apply_definitions, forget, materialise, online_reader, open_store, point_in_time_frame
from features.definitions import TIME_TO_LIVE
from features.errors import FeatureFromTheFuture, FeatureStoreUnavailable, MaterialisationIncomplete
from features.store import service_features
from group.settings import Settings, load_settings
from pipelines.workspace import Workspace
from tests.conftest import running_redis

JANUARY = datetime(2025, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2025, 2, 1, tzinfo=UTC)
PARTY = {"legal_entity": "consumer", "party_id": "P1"}


def write_rows(features: Path, view_name: str, rows: list[dict[str, object]]) -> None:
    """Feature rows of a view; what a row does not name is 0."""
    view = next(view for view in VIEWS if view.name == view_name)
    keys = {"legal_entity": pl.String, "party_id": pl.String}
    times = {name: pl.Datetime("us", "UTC") for name in ("event_timestamp", "created_timestamp")}
    schema = keys | times | dict.fromkeys(view.feature_names, pl.Float64)
    folder = features / view_name
    folder.mkdir(parents=True, exist_ok=True)
    zeros = dict.fromkeys(view.feature_names, 0.0)
    frame = pl.DataFrame([zeros | PARTY | row for row in rows], schema=schema)
    frame.write_parquet(folder / f"rows_{len(list(folder.iterdir()))}.parquet")


def a_bureau_row(at: datetime, value: float, created: datetime | None = None, **changes: object) -> dict[str, object]:
    row = {"event_timestamp": at, "created_timestamp": created or at, "inquiries_latest_360d": value}
    return row | changes


def store_of(settings: Settings, features: Path) -> FeatureStore:
    store = open_store(settings)
    apply_definitions(store, features)
    return store


def as_known(store: FeatureStore, at: datetime) -> float | None:
    entities = pl.DataFrame(
        [PARTY | {"event_timestamp": at}], schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")}
    )
    value: float | None = point_in_time_frame(store, entities)["inquiries_latest_360d"][0]
    return value


def test_a_planted_feature_from_the_future_is_refused_by_the_point_in_time_join(
    settings: Settings, tmp_path: Path
) -> None:
    features = tmp_path / "features"
    microsecond = timedelta(microseconds=1)
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    # What a cheat would plant: a row dated later, and one dated earlier that was only learnt afterwards.
    write_rows(features, "bureau", [a_bureau_row(JANUARY + timedelta(days=9), 666.0)])
    write_rows(
        features, "bureau", [a_bureau_row(JANUARY + timedelta(days=5), 777.0, created=JANUARY + timedelta(days=8))]
    )
    store = store_of(settings, features)
    assert as_known(store, JANUARY) == 1.0
    assert as_known(store, JANUARY + timedelta(days=7)) == 1.0
    assert as_known(store, JANUARY + timedelta(days=8) - microsecond) == 1.0
    assert as_known(store, JANUARY + timedelta(days=8)) == 777.0
    assert as_known(store, JANUARY + timedelta(days=9)) == 666.0


def test_a_row_that_was_learnt_later_does_not_go_online_for_its_instant(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0, created=JANUARY + timedelta(seconds=1))])
    store_of(settings, features)
    with pytest.raises(FeatureFromTheFuture, match="were created after it, the first for party P1 of 'consumer'"):
        materialise(settings, features, JANUARY)


def test_of_two_rows_for_one_instant_the_one_learnt_last_counts(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    instant = JANUARY + timedelta(days=1)
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0), a_bureau_row(JANUARY, 2.0, created=instant)])
    store = store_of(settings, features)
    assert as_known(store, JANUARY) == 1.0
    assert as_known(store, instant) == 2.0


def test_a_row_counts_until_its_time_to_live_is_over(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    store = store_of(settings, features)
    assert as_known(store, JANUARY + TIME_TO_LIVE) == 1.0
    assert as_known(store, JANUARY + TIME_TO_LIVE + timedelta(seconds=1)) is None
    assert as_known(store, JANUARY - timedelta(seconds=1)) is None


def test_the_frame_keeps_the_order_and_the_columns_it_was_given(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, n, party_id=f"P{n}") for n in (1, 2, 3)])
    store = store_of(settings, features)
    entities = pl.DataFrame(
        {
            "legal_entity": ["consumer"] * 4,
            "party_id": ["P3", "P1", "P9", "P3"],
            "event_timestamp": [JANUARY] * 4,
            "defaulted": [True, False, True, False],
        },
        schema_overrides={"event_timestamp": pl.Datetime("us", "UTC")},
    )
    frame = point_in_time_frame(store, entities)
    assert frame.select(entities.columns).equals(entities)
    assert frame.columns[4:] == service_features(store)
    assert frame["inquiries_latest_360d"].to_list() == [3.0, 1.0, None, 3.0]


def online_settings(kind: str, request: pytest.FixtureRequest, home: Path) -> Settings:
    variables = {"JINKONG_HOME": str(home)}
    if kind != "sqlite":
        variables["JINKONG_ONLINE_STORE_URL"] = request.getfixturevalue(f"{kind}_url")
    return load_settings(variables)


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgresql"])
def test_online_values_are_the_offline_ones_bit_for_bit(
    kind: str, request: pytest.FixtureRequest, the_small_group: Workspace, tmp_path: Path
) -> None:
    settings = online_settings(kind, request, tmp_path / "home")
    instant, keys = some_parties(the_small_group, tmp_path / "features", 150)
    store = store_of(settings, tmp_path / "features")
    counts = materialise(settings, tmp_path / "features", instant)
    assert counts == dict.fromkeys([view.name for view in VIEWS], len(keys))

    offline = point_in_time_frame(store, keys.with_columns(event_timestamp=pl.lit(instant)))
    names = service_features(store)
    asked = [*keys.iter_rows(), ("consumer", "P_NOBODY")]
    online = online_reader(settings, names).read(asked)
    wanted = offline.select(pl.col(names).fill_null(float("nan"))).to_numpy()
    assert online.values[:-1].tobytes() == np.ascontiguousarray(wanted).tobytes()
    assert online.found.tolist() == [True] * len(keys) + [False]
    assert online.as_of == [instant] * len(keys) + [None]
    assert np.isnan(online.values[-1]).all()
    # Not a test of emptiness against emptiness.
    assert np.isfinite(online.values[:-1]).mean() > 0.5


def some_parties(group: Workspace, features: Path, count: int) -> tuple[datetime, pl.DataFrame]:
    """Copy the newest feature rows of some parties, and say which."""
    newest = sorted((group.features / "profile").glob("*.parquet"))[-1]
    rows = pl.read_parquet(newest)
    keys = rows.select("legal_entity", "party_id").gather_every(max(len(rows) // count, 1))
    for view in VIEWS:
        (features / view.name).mkdir(parents=True)
        chosen = pl.read_parquet(group.features / view.name / newest.name).join(
            keys, on=["legal_entity", "party_id"], how="semi"
        )
        chosen.write_parquet(features / view.name / newest.name)
    return rows["event_timestamp"][0], keys


def test_one_companys_key_reads_nothing_of_another_companys(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0), a_bureau_row(JANUARY, 2.0, legal_entity="credit")])
    store_of(settings, features)
    materialise(settings, features, JANUARY)
    read = online_reader(settings, ["inquiries_latest_360d"]).read(
        [("consumer", "P1"), ("credit", "P1"), ("leasing", "P1")]
    )
    assert read.values[:2, 0].tolist() == [1.0, 2.0]
    assert read.found.tolist() == [True, True, False]


def test_many_threads_read_what_one_reads(
    settings: Settings, the_small_group_online: tuple[FeatureStore, list[tuple[str, str]]]
) -> None:
    store, parties = the_small_group_online
    reader = online_reader(settings, service_features(store))
    alone = [reader.read([party]).values.tobytes() for party in parties]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda party: reader.read([party]).values.tobytes(), parties * 3))
    assert together == alone * 3


@pytest.fixture
def the_small_group_online(
    the_small_group: Workspace, settings: Settings, tmp_path: Path
) -> tuple[FeatureStore, list[tuple[str, str]]]:
    instant, keys = some_parties(the_small_group, tmp_path / "features", 60)
    store = store_of(settings, tmp_path / "features")
    materialise(settings, tmp_path / "features", instant)
    return store, list(keys.iter_rows())


def test_a_later_month_replaces_the_values_online(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0), a_bureau_row(FEBRUARY, 5.0)])
    store_of(settings, features)
    reader = online_reader(settings, ["inquiries_latest_360d"])
    materialise(settings, features, JANUARY)
    assert reader.read([("consumer", "P1")]).values[0, 0] == 1.0
    materialise(settings, features, FEBRUARY)
    read = reader.read([("consumer", "P1")])
    assert (read.values[0, 0], read.as_of[0]) == (5.0, FEBRUARY)


def test_an_instant_without_rows_is_not_passed_over_in_silence(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    store_of(settings, features)
    with pytest.raises(MaterialisationIncomplete, match="of 0 rows at 2025-02-01, 0 are online"):
        materialise(settings, features, FEBRUARY)


def test_forgetting_leaves_nobody_online(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    store = store_of(settings, features)
    materialise(settings, features, JANUARY)
    forget(store)
    with pytest.raises(FeatureStoreUnavailable):
        online_reader(settings, ["inquiries_latest_360d"])


def test_a_model_that_wants_a_feature_which_is_gone_is_told_so(settings: Settings, tmp_path: Path) -> None:
    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    store_of(settings, features)
    with pytest.raises(FeatureStoreUnavailable, match="lacks 1 of the features asked for, such as 'shoe_size'"):
        online_reader(settings, ["inquiries_latest_360d", "shoe_size"])


def test_a_dead_online_store_is_reported_in_a_sentence(tmp_path: Path) -> None:
    import redis

    features = tmp_path / "features"
    write_rows(features, "bureau", [a_bureau_row(JANUARY, 1.0)])
    with running_redis(tmp_path) as url:
        settings = load_settings({"JINKONG_HOME": str(tmp_path / "home"), "JINKONG_ONLINE_STORE_URL": url})
        store_of(settings, features)
        materialise(settings, features, JANUARY)
        reader = online_reader(settings, ["inquiries_latest_360d"])
        client = redis.Redis.from_url(url)
        client.shutdown(nosave=True)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        with pytest.raises(FeatureStoreUnavailable, match="The feature store does not answer"):
            reader.read([("consumer", "P1")])

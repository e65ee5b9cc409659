"""Our offline store against Feast's own DuckDB store: the same rows for the same question, whatever the data."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, RequestSource
from feast.data_format import ParquetFormat
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.errors import UnknownFeatures, UnsupportedSource

START = datetime(2025, 1, 1, tzinfo=UTC)
TIME_TO_LIVE = timedelta(days=3)
MICROSECOND = timedelta(microseconds=1)

company = Entity(name="company", join_keys=["legal_entity"], value_type=ValueType.STRING)
party = Entity(name="party", join_keys=["party_id"], value_type=ValueType.INT64)


def source(folder: Path, name: str, **changes: Any) -> FileSource:
    named = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"} | changes
    return FileSource(name=f"{name}_files", path=f"{folder}/{name}/*.parquet", file_format=ParquetFormat(), **named)


def the_views(folder: Path) -> list[FeatureView]:
    return [
        FeatureView(
            name="flows",
            entities=[company, party],
            ttl=TIME_TO_LIVE,
            schema=[Field(name="inflow", dtype=Float64), Field(name="bookings", dtype=Int64)],
            source=source(folder, "flows"),
        ),
        FeatureView(
            name="labels",
            entities=[party],
            ttl=timedelta(0),
            schema=[Field(name="grade", dtype=String), Field(name="score", dtype=Float64)],
            source=source(
                folder, "labels", created_timestamp_column="", field_mapping={"grade_as_stored": "grade", "when": "at"},
                timestamp_field="at",
            ),
        ),
    ]  # fmt: skip


@on_demand_feature_view(  # type: ignore[untyped-decorator]
    sources=[RequestSource(name="asked", schema=[Field(name="amount", dtype=Float64)])],
    schema=[Field(name="twice", dtype=Float64)],
    mode="pandas",
)
def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": inputs["amount"] * 2})


FLOWS = pa.schema(
    [
        ("legal_entity", pa.string()),
        ("party_id", pa.int64()),
        ("event_timestamp", pa.timestamp("us", "UTC")),
        ("created_timestamp", pa.timestamp("us", "UTC")),
        ("inflow", pa.float64()),
        ("bookings", pa.int64()),
    ]
)
LABELS = pa.schema(
    [
        ("party_id", pa.int64()),
        ("when", pa.timestamp("us", "UTC")),
        ("grade_as_stored", pa.string()),
        ("score", pa.float64()),
    ]
)


@pytest.fixture(scope="module")
def two_stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureStore, FeatureStore]:
    """A folder of rows, and the same definitions over it in Feast's store and in ours."""
    home = tmp_path_factory.mktemp("stores")
    for name, schema in {"flows": FLOWS, "labels": LABELS}.items():
        write(home, name, [], schema)
    stores = []
    for kind in ("duckdb", "features.offline.store.AsofOfflineStore"):
        config = RepoConfig(
            project="compare",
            provider="local",
            registry={"path": str(home / f"{kind}.db")},
            offline_store={"type": kind},
            online_store={"type": "sqlite", "path": str(home / f"{kind}.online.db")},
            entity_key_serialization_version=3,
            repo_path=str(home),
        )
        store = FeatureStore(config=config)
        views = the_views(home)
        service = FeatureService(name="all", features=[views[0][["inflow"]], views[1]])
        store.apply([company, party, *views, doubled, service])
        stores.append(store)
    return home, stores[0], stores[1]


def write(folder: Path, name: str, rows: list[dict[str, Any]], schema: pa.Schema, files: int = 1) -> None:
    target = folder / name
    target.mkdir(exist_ok=True)
    for old in target.glob("*.parquet"):
        old.unlink()
    for number in range(files):
        pq.write_table(pa.Table.from_pylist(rows[number::files], schema=schema), target / f"{number}.parquet")


# Few keys and few instants a microsecond and a time to live apart, so that ties and edges are the rule.
instants = st.builds(
    lambda days, steps: START + timedelta(days=days) + steps * MICROSECOND, st.integers(0, 7), st.integers(-1, 1)
)
keys = {"legal_entity": st.sampled_from(["credit", "leasing"]), "party_id": st.integers(1, 3)}
flow_rows = st.lists(
    st.fixed_dictionaries(
        {
            **keys,
            "event_timestamp": instants,
            "delay": st.sampled_from([timedelta(0), MICROSECOND, timedelta(days=1), timedelta(days=4)]),
            "inflow": st.none() | st.floats(width=64),
            "bookings": st.none() | st.integers(-(2**40), 2**40),
        }
    ),
    max_size=30,
    # Of two rows for one key with the same two timestamps neither store promises which one it takes.
    unique_by=lambda row: (row["legal_entity"], row["party_id"], row["event_timestamp"], row["delay"]),
)
label_rows = st.lists(
    st.fixed_dictionaries(
        {
            "party_id": keys["party_id"],
            "when": instants,
            "grade_as_stored": st.none() | st.text(max_size=3),
            "score": st.floats(allow_nan=False),
        }
    ),
    max_size=12,
    unique_by=lambda row: (row["party_id"], row["when"]),
)
zones = st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", None])
asked_rows = st.lists(
    st.fixed_dictionaries(
        {
            "legal_entity": st.sampled_from(["credit", "leasing", "nobody"]) | st.none(),
            "party_id": st.integers(1, 4),
            "event_timestamp": instants,
            "amount": st.floats(-1e6, 1e6),
        }
    ),
    min_size=1,
    max_size=12,
)


def asked_frame(rows: list[dict[str, Any]], zone: str | None) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    at = pd.to_datetime(frame["event_timestamp"], utc=True).astype("datetime64[us, UTC]")
    frame["event_timestamp"] = at.dt.tz_convert(zone) if zone else at.dt.tz_localize(None)
    frame["asked_first"] = range(len(frame))
    return frame


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows in the order asked, instants as UTC and floats as their bits, so that NaN equals itself and -0 is no 0."""
    frame = table.to_pylist()
    for row in frame:
        row["event_timestamp"] = pd.Timestamp(row["event_timestamp"]).tz_convert("UTC")
        row |= {name: value.hex() for name, value in row.items() if isinstance(value, float)}
    return sorted(frame, key=lambda row: row["asked_first"])


def a_flow(day: int, delay: timedelta, inflow: float) -> dict[str, Any]:
    return {
        "legal_entity": "credit",
        "party_id": 1,
        "event_timestamp": START + timedelta(days=day),
        "delay": delay,
        "inflow": inflow,
        "bookings": None,
    }


@example(
    # DuckDB 2.0.0 lost the first row here when the join's right side was one query with a window function.
    flows=[a_flow(0, timedelta(0), 1.0), a_flow(7, timedelta(0), 2.0), a_flow(2, timedelta(days=4), 3.0)],
    labels=[],
    asked=[{"legal_entity": "credit", "party_id": 1, "event_timestamp": START + timedelta(days=3), "amount": 0.0}],
    zone="UTC",
    by_created=True,
    full_names=False,
    files=3,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flows=flow_rows,
    labels=label_rows,
    asked=asked_rows,
    zone=zones,
    by_created=st.booleans(),
    full_names=st.booleans(),
    files=st.integers(1, 3),
)
def test_it_gives_what_feasts_own_store_gives(
    two_stores: tuple[Path, FeatureStore, FeatureStore],
    flows: list[dict[str, Any]],
    labels: list[dict[str, Any]],
    asked: list[dict[str, Any]],
    zone: str | None,
    by_created: bool,
    full_names: bool,
    files: int,
) -> None:
    home, feasts, ours = two_stores
    known = [row | {"created_timestamp": row["event_timestamp"] + row["delay"]} for row in flows]
    write(home, "flows", known, FLOWS, files)
    write(home, "labels", labels, LABELS, files)
    frame = asked_frame(asked, zone)
    wanted, got = (
        store.get_historical_features(
            frame.copy(),
            ["flows:bookings", "flows:inflow", "labels:grade", "labels:score", "doubled:twice"],
            full_feature_names=full_names,
            filter_by_created_timestamp=by_created,
        ).to_arrow()
        for store in (feasts, ours)
    )
    assert got.column_names == wanted.column_names
    assert rows_of(got) == rows_of(wanted)
    # What Feast's store does not promise: the rows come back in the order in which they were asked for.
    assert got["asked_first"].to_pylist() == list(range(len(asked)))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flows=flow_rows, low=instants, span=st.integers(0, 4))
def test_it_pulls_what_feasts_own_store_pulls(
    two_stores: tuple[Path, FeatureStore, FeatureStore], flows: list[dict[str, Any]], low: datetime, span: int
) -> None:
    home, feasts, ours = two_stores
    known = [row | {"created_timestamp": row["event_timestamp"] + row["delay"]} for row in flows]
    write(home, "flows", known, FLOWS, files=2)
    high = low + timedelta(days=span)
    for method in ("pull_latest_from_table_or_query", "pull_all_from_table_or_query"):
        wanted, got = (
            getattr(store._get_provider().offline_store, method)(
                store.config,
                store.get_feature_view("flows").batch_source,
                ["legal_entity", "party_id"],
                ["inflow", "bookings"],
                "event_timestamp",
                "created_timestamp",
                low,
                high,
            ).to_arrow()
            for store in (feasts, ours)
        )
        assert got.column_names == wanted.column_names
        assert sorted(map(repr, got.to_pylist())) == sorted(map(repr, wanted.to_pylist()))


def test_a_projection_may_rename_one_of_two_keys(two_stores: tuple[Path, FeatureStore, FeatureStore]) -> None:
    home, _, ours = two_stores
    rows = [
        {"legal_entity": entity, "party_id": 7, "event_timestamp": START, "created_timestamp": START, "inflow": value}
        for entity, value in (("credit", 1.0), ("leasing", 2.0))
    ]
    write(home, "flows", rows, FLOWS)
    guarantor = ours.get_feature_view("flows").with_name("guarantor").with_join_key_map({"party_id": "guarantor_id"})
    asked = pd.DataFrame(
        {"legal_entity": ["leasing", "credit"], "guarantor_id": [7, 7], "event_timestamp": [START, START]}
    )
    service = FeatureService(name="with_guarantor", features=[guarantor[["inflow"]]])
    ours.apply([service])
    result = ours.get_historical_features(asked, ours.get_feature_service("with_guarantor"), full_feature_names=True)
    assert result.to_arrow()["guarantor__inflow"].to_pylist() == [2.0, 1.0]


def test_a_view_without_an_entity_is_one_series_for_all(
    two_stores: tuple[Path, FeatureStore, FeatureStore], tmp_path: Path
) -> None:
    _, _, ours = two_stores
    schema = pa.schema([("event_timestamp", pa.timestamp("us", "UTC")), ("lending_rate", pa.float64())])
    rates = [{"event_timestamp": START + timedelta(days=day), "lending_rate": 3.0 + day} for day in (0, 2, 10)]
    write(tmp_path, "economy", rates, schema)
    view = FeatureView(
        name="economy",
        entities=[],
        ttl=TIME_TO_LIVE,
        schema=[Field(name="lending_rate", dtype=Float64)],
        source=source(tmp_path, "economy", created_timestamp_column=""),
    )
    ours.apply([view])
    days = [-1, 0, 1, 2, 5, 6, 10]
    asked = pd.DataFrame({"event_timestamp": [START + timedelta(days=day) for day in days]})
    result = ours.get_historical_features(asked, ["economy:lending_rate"]).to_arrow()
    assert result["lending_rate"].to_pylist() == [None, 3.0, 3.0, 5.0, 5.0, None, 13.0]
    ours.materialize(START, START + timedelta(days=3), feature_views=["economy"])
    assert ours.get_online_features(["economy:lending_rate"], [{"__dummy_id": ""}]).to_dict()["lending_rate"] == [5.0]


def test_pushed_rows_are_a_file_of_their_own_and_writing_them_twice_adds_nothing(
    two_stores: tuple[Path, FeatureStore, FeatureStore],
) -> None:
    home, _, ours = two_stores
    row = {"legal_entity": "credit", "party_id": 1, "event_timestamp": START, "created_timestamp": START, "inflow": 1.0}
    write(home, "flows", [row], FLOWS)
    before = {path: path.read_bytes() for path in (home / "flows").iterdir()}
    pushed = pd.DataFrame(
        [row | {"inflow": 9.0, "bookings": 3, "created_timestamp": START + MICROSECOND}], columns=FLOWS.names
    )
    provider = ours._get_provider()
    for _ in range(2):
        provider.offline_store.offline_write_batch(
            ours.config, ours.get_feature_view("flows"), pa.Table.from_pandas(pushed, schema=FLOWS), None
        )
    assert {path: path.read_bytes() for path in before} == before
    assert len(list((home / "flows").iterdir())) == len(before) + 1
    asked = pd.DataFrame({"legal_entity": ["credit"], "party_id": [1], "event_timestamp": [START + MICROSECOND]})
    assert ours.get_historical_features(asked, ["flows:inflow"]).to_arrow()["inflow"].to_pylist() == [9.0]


def test_a_result_is_kept_whole_or_not_at_all(
    two_stores: tuple[Path, FeatureStore, FeatureStore], tmp_path: Path
) -> None:
    home, _, ours = two_stores
    write(home, "flows", [], FLOWS)
    asked = pd.DataFrame({"legal_entity": ["credit"], "party_id": [1], "event_timestamp": [START]})
    job = ours.get_historical_features(asked, ["flows:inflow"])
    target = tmp_path / "kept" / "frame.parquet"
    job.persist(SavedDatasetFileStorage(str(target)))
    assert pq.read_table(target).column_names == ["legal_entity", "party_id", "event_timestamp", "inflow"]
    assert [path.name for path in target.parent.iterdir()] == ["frame.parquet"]
    with pytest.raises(Exception, match="already exists"):
        job.persist(SavedDatasetFileStorage(str(target)))
    job.persist(SavedDatasetFileStorage(str(target)), allow_overwrite=True)


def test_what_it_cannot_do_is_said(two_stores: tuple[Path, FeatureStore, FeatureStore]) -> None:
    _, _, ours = two_stores
    with pytest.raises(UnknownFeatures, match="'flows' joins on legal_entity, which the asked rows lack; they have"):
        ours.get_historical_features(pd.DataFrame({"party_id": [1], "event_timestamp": [START]}), ["flows:inflow"])
    by_query = "SELECT 'credit' AS legal_entity, 1 AS party_id, TIMESTAMPTZ '2025-01-01 00:00:00+00' AS event_timestamp"
    assert ours.get_historical_features(by_query, ["flows:inflow"]).to_arrow().num_rows == 1
    with pytest.raises(UnsupportedSource, match="pass entity_df"):
        ours.get_historical_features(features=["flows:inflow"], start_date=START)

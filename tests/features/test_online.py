"""The reader without Feast against Feast itself, in each of the three stores."""

import asyncio
import contextlib
import math
import sqlite3
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
import redis
from feast import FeatureStore, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features import online_reader, open_store
from features.catalogue import CREDIT_SERVICE, CREDIT_VIEWS, VIEWS, View
from features.errors import FeatureStoreUnavailable
from features.online.encoding import doubles, entity_keys
from features.online.feast_redis import JoinedRowsRedisOnlineStore, JoinedRowsRedisOnlineStoreConfig
from features.online.layout import ViewLayout
from features.online.sqlite_store import places_in
from features.online.writing import ViewRows, open_writer
from features.place import feast_home
from features.store import apply_definitions
from group.settings import Settings, load_settings
from tests.features.test_store import online_settings, write_rows

JANUARY = datetime(2025, 1, 1, tzinfo=UTC)
SERVED = [view for view in VIEWS if view.name in CREDIT_VIEWS]
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(names, min_size=1, max_size=3, unique=True), st.data())
def test_keys_are_the_bytes_that_feast_writes(columns: list[str], data: st.DataObject) -> None:
    party = data.draw(st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=20)] * len(columns)))
    message = EntityKey(join_keys=columns, entity_values=[Value(string_val=value) for value in party])
    assert entity_keys(columns, [party]) == [serialize_entity_key(message, 3)]


@given(st.lists(st.none() | st.floats(width=64)))
def test_values_are_decoded_to_the_bits_that_were_encoded(values: list[float | None]) -> None:
    stored = [b"" if value is None else Value(double_val=value).SerializeToString() for value in values]
    wanted = [math.nan if value is None else value for value in values]
    bits = [struct.pack("<d", math.nan if math.isnan(value) else value) for value in wanted]
    got = [struct.pack("<d", math.nan if math.isnan(value) else value) for value in doubles([*stored]).tolist()]
    assert got == bits


@pytest.mark.parametrize("wrong", [Value(int64_val=7), Value(string_val="12345678"), Value(float_val=1.5)])
def test_a_value_of_another_type_is_refused(wrong: Value) -> None:
    with pytest.raises(FeatureStoreUnavailable, match="a value that is no number"):
        doubles([Value(double_val=1.0).SerializeToString(), wrong.SerializeToString()])


def defined(settings: Settings, features: Path) -> FeatureStore:
    """A store with the views defined, and nobody in it."""
    for view in VIEWS:
        write_rows(features, view.name, [{"event_timestamp": JANUARY, "created_timestamp": JANUARY}])
    store = open_store(settings)
    apply_definitions(store, features)
    return store


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, FeatureStore, list[tuple[str, str]]]:
    """A store of each kind with odd values: nulls, zeros of both signs, the largest and the smallest, infinities."""
    settings = online_settings(request.param, request, tmp_path / "home")
    store = defined(settings, tmp_path / "features")
    odd = [None, 0.0, -0.0, 1.5, -1e308, 5e-324, math.inf, -math.inf, 0.1 + 0.2]
    random = np.random.default_rng(3)
    parties = [("consumer", f"P{number}") for number in range(40)] + [("credit", "P1")]
    for view in VIEWS:
        rows = [
            {"legal_entity": entity, "party_id": party, "event_timestamp": JANUARY, "created_timestamp": JANUARY}
            | {name: odd[random.integers(len(odd))] for name in view.feature_names}
            # Each view lacks other parties.
            for entity, party in parties
            if random.random() < 0.8
        ]
        frame = pd.DataFrame(rows).astype(dict.fromkeys(view.feature_names, "float64"))
        store.write_to_online_store(view.name, frame)
    return settings, store, parties


def test_the_reader_reads_what_feast_reads(filled: tuple[Settings, FeatureStore, list[tuple[str, str]]]) -> None:
    settings, store, parties = filled
    reversed_names = [name for view in SERVED for name in view.feature_names][::-3]
    asked = [*parties, ("consumer", "P_NOBODY"), ("leasing", "P1"), parties[0], parties[0]]
    read = online_reader(settings, reversed_names).read(asked)
    answer = store.get_online_features(
        store.get_feature_service(CREDIT_SERVICE),
        [{"legal_entity": entity, "party_id": party} for entity, party in asked],
    ).to_dict()
    for place, name in enumerate(reversed_names):
        assert [bits(value) for value in read.values[:, place]] == [bits(value) for value in answer[name]], name
    assert read.found.tolist() == [
        any(answer[name][row] is not None for view in SERVED for name in view.feature_names)
        for row in range(len(asked))
    ]
    assert {at for at in read.as_of if at is not None} == {JANUARY}
    assert np.isfinite(read.values).mean() > 0.3


def test_rows_in_bulk_leave_the_store_as_feast_leaves_it(
    filled: tuple[Settings, FeatureStore, list[tuple[str, str]]], tmp_path: Path
) -> None:
    settings, store, _ = filled
    view = VIEWS[1]
    layout = ViewLayout(view.name, tuple(view.feature_names))
    parties = [("guarantee", f"P{number}") for number in range(30)]
    random = np.random.default_rng(8)
    values = random.choice([math.nan, 0.0, -0.0, 2.5, math.inf, 1e-310], (30, len(view.feature_names)))
    at = [JANUARY + timedelta(hours=number) for number in range(30)]
    frame = pd.DataFrame(parties, columns=["legal_entity", "party_id"]).assign(
        event_timestamp=at, created_timestamp=[instant + timedelta(minutes=1) for instant in at]
    )
    columns = [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
    by_name = pd.DataFrame(columns, columns=view.feature_names, dtype=object)
    store.write_to_online_store(view.name, pd.concat([frame, by_name], axis=1))
    by_feast = everything_in(settings)
    keys = entity_keys(["legal_entity", "party_id"], parties)
    rows = ViewRows(keys, values, at, [instant + timedelta(minutes=1) for instant in at])
    write(settings, layout, ViewRows(keys, values + 1, [JANUARY] * 30, [JANUARY] * 30))
    # Older rows stay out, but for the first, which is as old.
    assert len(set(by_feast.items()) - set(everything_in(settings).items())) <= len(view.feature_names)
    store.teardown()
    apply_definitions(store, tmp_path / "features")
    write(settings, layout, rows)
    in_bulk = everything_in(settings)
    assert len(in_bulk) >= 30
    assert {key: by_feast[key] for key in in_bulk} == in_bulk


def write(settings: Settings, view: ViewLayout, rows: ViewRows) -> None:
    writer = open_writer(settings.online_store_url, feast_home(settings), "jinkong")
    writer.write(view, rows)
    writer.close()


def everything_in(settings: Settings) -> dict[Any, Any]:
    """What the store holds, by key and feature, as bytes and instants."""
    url = settings.online_store_url
    if url.startswith("redis"):
        client: Any = redis.Redis.from_url(url)
        return {
            (name, field): value
            for name in client.scan_iter()
            for field, value in client.hgetall(name).items()
            if not field.startswith(b"_row")  # ours alone; Feast neither reads nor writes it
        }
    found: dict[Any, Any] = {}
    columns = "entity_key, feature_name, value, event_ts, created_ts"
    if not url:
        with contextlib.closing(sqlite3.connect(feast_home(settings) / "online.db")) as connection:
            for view in VIEWS:
                for key, name, *rest in connection.execute(f"SELECT {columns} FROM jinkong_{view.name}"):
                    found[view.name, key, name] = tuple(rest)
        return found
    with psycopg.connect(url) as server:
        for view in VIEWS:
            for key, name, *rest in server.execute(f"SELECT {columns} FROM jinkong_{view.name}"):
                found[view.name, key, name] = tuple(rest)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_whatever_order_we_and_feast_write_in_both_read_the_same(
    filled: tuple[Settings, FeatureStore, list[tuple[str, str]]], seed: int
) -> None:
    settings, store, parties = filled
    random = np.random.default_rng(seed)
    names = [name for view in SERVED for name in view.feature_names]
    reader = online_reader(settings, names)
    if seed % 2:
        # Whole rows of all views, which are read as one as long as nobody changes one of them.
        keys = entity_keys(["legal_entity", "party_id"], parties)
        for view in SERVED:
            values = random.normal(size=(len(parties), len(view.feature_names)))
            then = [JANUARY + timedelta(minutes=int(random.integers(3)))] * len(parties)
            write(settings, ViewLayout(view.name, tuple(view.feature_names)), ViewRows(keys, values, then, then))
    for _ in range(8):
        view = SERVED[random.integers(2)]
        some = [parties[place] for place in random.choice(len(parties), 5, replace=False)]
        # Earlier than what is there, as early, or later.
        at = JANUARY + timedelta(hours=int(random.integers(-1, 3)))
        values = random.choice([math.nan, -0.0, 2.5, math.inf], (5, len(view.feature_names)))
        if random.random() < 0.6:
            keys = entity_keys(["legal_entity", "party_id"], some)
            layout = ViewLayout(view.name, tuple(view.feature_names))
            write(settings, layout, ViewRows(keys, values, [at] * 5, [at] * 5))
        else:
            frame = pd.DataFrame(some, columns=["legal_entity", "party_id"])
            frame = frame.assign(event_timestamp=at, created_timestamp=at)
            columns = [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
            by_name = pd.DataFrame(columns, columns=view.feature_names, dtype=object)
            store.write_to_online_store(view.name, pd.concat([frame, by_name], axis=1))
        read = reader.read(parties)
        answer = store.get_online_features(
            store.get_feature_service(CREDIT_SERVICE),
            [{"legal_entity": entity, "party_id": party} for entity, party in parties],
        ).to_dict()
        for place, name in enumerate(names):
            assert [bits(value) for value in read.values[:, place]] == [bits(value) for value in answer[name]], name


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("count", [50, 150], ids=["few", "many"])
def test_a_joined_row_lasts_as_long_as_its_parts(
    kind: str, count: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = online_settings(kind, request, tmp_path / "home")
    defined(settings, tmp_path / "features")
    parties = [("consumer", f"P{number}") for number in range(count)]
    keys = entity_keys(["legal_entity", "party_id"], parties)
    layouts = [ViewLayout(view.name, tuple(view.feature_names)) for view in SERVED]

    def write_all(at: datetime, layouts: Sequence[ViewLayout], some: slice = slice(None)) -> None:
        writer = open_writer(settings.online_store_url, feast_home(settings), "jinkong")
        for layout in layouts:
            rows = np.full((len(keys[some]), len(layout.features)), at.timestamp())
            writer.write(layout, ViewRows(keys[some], rows, [at] * len(rows), [at] * len(rows)))
        writer.close()

    reader = online_reader(settings, [name for view in SERVED for name in view.feature_names])
    row_by_row: list[int] = []
    slow = reader._store._row_by_row  # type: ignore[attr-defined]

    def counted(some: Sequence[bytes]) -> Any:
        row_by_row.append(len(some))
        return slow(some)

    reader._store._row_by_row = counted  # type: ignore[attr-defined]
    before_1970 = datetime(1969, 5, 1, tzinfo=UTC)
    write_all(before_1970, layouts[:1])
    write_all(JANUARY, layouts[1:])
    assert reader.read(parties).as_of == [before_1970] * count
    assert row_by_row == []
    # One view of some, by a writer that is cut off before it joins them again.
    later = JANUARY + timedelta(days=1)
    # Later ones, and others of the same instant.
    for value in (7.0, 8.0):
        writer = open_writer(settings.online_store_url, feast_home(settings), "jinkong")
        rows = np.full((20, len(layouts[0].features)), value)
        writer.write(layouts[0], ViewRows(keys[:20], rows, [later] * 20, [later] * 20))
        read = reader.read(parties)
        assert row_by_row == [20]
        assert read.as_of == [JANUARY] * 20 + [before_1970] * (count - 20)
        assert set(read.values[:20, 0]) == {value}
        writer.close()
        assert np.array_equal(reader.read(parties).values, read.values)
        assert row_by_row == [20]
        row_by_row.clear()
    # A view that grew: it is not read as the one that the reader knows.
    grown = ViewLayout(layouts[0].name, (*layouts[0].features, "a_new_one"))
    write_all(later, [grown], slice(0, 1))
    assert np.array_equal(reader.read(parties[1:]).values, read.values[1:])
    # In a file, rows are joined alike or not at all; a hash stands for itself.
    assert row_by_row == ([count - 1] if kind == "sqlite" else [])
    assert set(reader.read(parties[:1]).values[0, : len(layouts[0].features)]) == {later.timestamp()}


def test_a_hash_with_some_of_the_views_is_joined_too(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = online_settings("redis", request, tmp_path / "home")
    store = defined(settings, tmp_path / "features")
    keys = entity_keys(["legal_entity", "party_id"], [("consumer", "P1")])
    for view, at in ((SERVED[1], JANUARY), (SERVED[0], JANUARY + timedelta(days=1))):
        rows = np.full((1, len(view.feature_names)), 3.0)
        write(settings, ViewLayout(view.name, tuple(view.feature_names)), ViewRows(keys, rows, [at], [at]))
    names = [name for view in SERVED for name in view.feature_names]
    reader = online_reader(settings, names)
    reader._store._row_by_row = None  # type: ignore[attr-defined]
    read = reader.read([("consumer", "P1")])
    known = {name for view in SERVED[:2] for name in view.feature_names}
    assert [not math.isnan(value) for value in read.values[0]] == [name in known for name in names]
    assert read.as_of == [JANUARY]
    # What Feast writes beside it counts at once.
    del reader._store._row_by_row  # type: ignore[attr-defined]
    frame = pd.DataFrame([("consumer", "P1")], columns=["legal_entity", "party_id"])
    row = {name: [5.0] for name in SERVED[2].feature_names}
    store.write_to_online_store(SERVED[2].name, frame.assign(event_timestamp=JANUARY, created_timestamp=JANUARY, **row))
    after = reader.read([("consumer", "P1")]).values[0]
    assert {after[place] for place, name in enumerate(names) if name in SERVED[2].feature_names} == {5.0}


@given(st.sets(st.text("ab", max_size=3), min_size=1, max_size=6), st.data())
def test_keys_that_come_in_another_order_than_asked_for_are_not_taken_for_each_other(
    texts: set[str], data: st.DataObject
) -> None:
    distinct = sorted(entity_keys(["party_id"], [(text,) for text in texts]))
    found = [key for key in distinct if data.draw(st.booleans())]
    assert places_in(b"".join(found), distinct) == {key: place for place, key in enumerate(found)}
    mixed = data.draw(st.permutations(found))
    if mixed != found:
        assert places_in(b"".join(mixed), distinct) == {}


@pytest.fixture
def joined(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, FeatureStore, list[tuple[str, str]]]:
    """A Redis with a hundred parties whose rows are joined, all values 1."""
    settings = online_settings("redis", request, tmp_path / "home")
    store = defined(settings, tmp_path / "features")
    parties = [("consumer", f"P{number}") for number in range(100)]
    keys = entity_keys(["legal_entity", "party_id"], parties)
    for view in SERVED:
        rows = ViewRows(keys, np.ones((100, len(view.feature_names))), [JANUARY] * 100, [JANUARY] * 100)
        write(settings, ViewLayout(view.name, tuple(view.feature_names)), rows)
    return settings, store, parties


def write_by_feast(store: FeatureStore, view: View, party: tuple[str, str], value: float) -> None:
    row: dict[str, Any] = dict.fromkeys(view.feature_names, value)
    row |= {"legal_entity": party[0], "party_id": party[1]}
    later = JANUARY + timedelta(days=1)
    store.write_to_online_store(view.name, pd.DataFrame([row | {"event_timestamp": later, "created_timestamp": later}]))


def test_feast_as_we_set_it_up_leaves_no_joined_row_behind(
    joined: tuple[Settings, FeatureStore, list[tuple[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    settings, store, parties = joined
    view, online = SERVED[0], JoinedRowsRedisOnlineStore()
    read = online_reader(settings, view.feature_names).read
    write_by_feast(store, view, parties[3], 2.0)
    entity = EntityKey(join_keys=["legal_entity", "party_id"], entity_values=[Value(string_val=t) for t in parties[4]])
    values = {name: Value(double_val=3.0) for name in view.feature_names}
    feast_view = store.get_feature_view(view.name)
    row = (entity, values, JANUARY + timedelta(days=1), None)
    asyncio.run(online.online_write_batch_async(store.config, feast_view, [row], None))
    assert read(parties).values[:, 0].tolist() == [1.0] * 3 + [2.0, 3.0] + [1.0] * 95
    online.delete_table(store.config, feast_view)
    assert np.isnan(read(parties).values).all()
    others = online_reader(settings, SERVED[1].feature_names)
    # Whichever of them are looked at, nobody left a row behind.
    assert all((others.read(parties).values == 1.0).all() for _ in range(100))
    assert caplog.records == []


@pytest.mark.parametrize("other", [{"redis_type": "redis_cluster"}, {"client": "glide"}])
def test_feast_is_not_set_up_for_what_would_leave_joined_rows_behind(other: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(other))):
        JoinedRowsRedisOnlineStoreConfig(**other)
    two = JoinedRowsRedisOnlineStoreConfig(connection_string="one:6379,another:6379,db=0")
    with pytest.raises(ValueError, match="one Redis server, as in 'host:6379,db=0', not 2"):
        JoinedRowsRedisOnlineStore()._get_client(two)


def test_a_writer_that_leaves_joined_rows_behind_is_found(
    joined: tuple[Settings, FeatureStore, list[tuple[str, str]]], caplog: pytest.LogCaptureFixture
) -> None:
    settings, store, parties = joined
    view = SERVED[0]
    known = store.config.model_dump(by_alias=True)
    server = {"type": "redis", "connection_string": known["online_store"]["connection_string"]}
    elsewhere = FeatureStore(config=RepoConfig(**known | {"online_store": server}))
    read = online_reader(settings, view.feature_names).read
    write_by_feast(elsewhere, view, parties[3], 2.0)
    # Where few are asked for, nobody is trusted.
    assert read(parties[3:4]).values[0, 0] == 2.0
    assert caplog.records == []
    # Each time others are looked at: that one of 25 is never among them has a chance of one in a billion.
    reads = 0
    while not caplog.records and reads < 500:
        assert set(read(parties).values[:, 0]) <= {1.0, 2.0}
        reads += 1
    write_by_feast(elsewhere, view, parties[60], 2.0)
    assert read(parties).values[:, 0].tolist() == [2.0 if place in (3, 60) else 1.0 for place in range(100)]
    [warning] = caplog.messages
    assert "from now on every row is compared" in warning


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_rows_that_we_wrote_are_read_whole(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = online_settings(kind, request, tmp_path / "home")
    store = defined(settings, tmp_path / "features")
    parties = [("consumer", f"P{number}") for number in range(700)]
    keys = entity_keys(["legal_entity", "party_id"], parties)
    written = {}
    for view in SERVED:
        values = np.random.default_rng(1).normal(size=(700, len(view.feature_names)))
        layout = ViewLayout(view.name, tuple(view.feature_names))
        write(settings, layout, ViewRows(keys, values, [JANUARY] * 700, [JANUARY] * 700))
        written[view.name] = values
    reader = online_reader(settings, SERVED[1].feature_names)
    by_value: list[int] = []
    slow = reader._store._value_by_value  # type: ignore[attr-defined]

    def counted(some: Sequence[bytes]) -> Any:
        by_value.append(len(some))
        return slow(some)

    reader._store._value_by_value = counted  # type: ignore[attr-defined]
    read = reader.read([*parties, ("leasing", "P_NOBODY")])
    assert np.array_equal(read.values[:700], written[SERVED[1].name])
    # All of them known, in another order, one twice.
    again = reader.read([*reversed(parties), parties[5]])
    assert np.array_equal(again.values, np.vstack([read.values[:700][::-1], read.values[5:6]]))
    assert again.as_of == [JANUARY] * 701
    nobody = reader.read([("leasing", f"P{number}") for number in range(200)])
    assert not nobody.found.any()
    assert nobody.as_of == [None] * 200
    assert np.isnan(nobody.values).all()
    assert by_value == []
    assert read.found.tolist() == [True] * 700 + [False]
    frame = pd.DataFrame([parties[3]], columns=["legal_entity", "party_id"])
    later = JANUARY + timedelta(seconds=1)
    row = {name: [7.0] for name in SERVED[1].feature_names}
    store.write_to_online_store(SERVED[1].name, frame.assign(event_timestamp=later, created_timestamp=later, **row))
    read = reader.read(parties)
    assert by_value == [1]
    assert set(read.values[3]) == {7.0}


def test_of_views_of_several_ages_the_oldest_is_told(
    filled: tuple[Settings, FeatureStore, list[tuple[str, str]]],
) -> None:
    settings, store, _ = filled
    later = JANUARY + timedelta(days=3)
    for view, at in ((VIEWS[0], JANUARY), (VIEWS[1], later)):
        row: dict[str, Any] = {"legal_entity": "factoring", "party_id": "P9", "event_timestamp": at}
        row |= {"created_timestamp": at} | dict.fromkeys(view.feature_names, 1.0)
        store.write_to_online_store(view.name, pd.DataFrame([row]))
    read = online_reader(settings, VIEWS[1].feature_names).read([("factoring", "P9")])
    assert read.as_of == [JANUARY]
    assert read.values.tolist() == [[1.0] * len(VIEWS[1].feature_names)]


def test_a_feature_that_left_the_catalogue_does_not_shift_the_others(
    filled: tuple[Settings, FeatureStore, list[tuple[str, str]]],
) -> None:
    settings, store, parties = filled
    view = VIEWS[1]
    before = online_reader(settings, view.feature_names).read(parties)
    old = store.get_feature_view(view.name)
    row = {"legal_entity": "consumer", "party_id": "P1"}
    provider = store._get_provider()
    message = EntityKey(join_keys=list(row), entity_values=[Value(string_val=value) for value in row.values()])
    provider.online_write_batch(
        store.config, old, [(message, {"a_feature_of_old": Value(double_val=66.0)}, JANUARY, JANUARY)], None
    )
    after = online_reader(settings, view.feature_names).read(parties)
    assert after.values.tobytes() == before.values.tobytes()


def test_nobody_is_read_as_nobody(filled: tuple[Settings, FeatureStore, list[tuple[str, str]]]) -> None:
    settings, _, _ = filled
    read = online_reader(settings, VIEWS[0].feature_names).read([])
    assert read.values.shape == (0, len(VIEWS[0].feature_names))
    assert read.as_of == []


def test_many_more_parties_than_one_query_takes(
    filled: tuple[Settings, FeatureStore, list[tuple[str, str]]],
) -> None:
    settings, _, parties = filled
    reader = online_reader(settings, VIEWS[2].feature_names)
    many = [parties[number % len(parties)] for number in range(1_701)]
    once = reader.read(parties)
    read = reader.read(many)
    rows = np.arange(len(many)) % len(parties)
    assert read.values.tobytes() == once.values[rows].tobytes()
    assert read.found.tolist() == once.found[rows].tolist()


def test_reading_imports_nothing_of_feast() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from features.online import open_reader; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'feast', 'ray', 'mlflow', 'pandas', 'evidently'}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def bits(value: float | None) -> str:
    return "nan" if value is None or math.isnan(value) else float(value).hex()


def test_no_service_no_reader(tmp_path: Path) -> None:
    settings = load_settings({"JINKONG_HOME": str(tmp_path)})
    with pytest.raises(
        FeatureStoreUnavailable, match=r"'credit_pd' is not defined in .*; run `jinkong features` first"
    ):
        online_reader(settings, ["age_years"])

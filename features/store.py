"""The feature store: apply the definitions, fill the online store, read features as of an instant."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from feast import FeatureStore, RepoConfig
from feast.errors import FeastError

from features.catalogue import CREDIT_SERVICE
from features.connection import bounded_connection
from features.definitions import (
    ENTITIES,
    available_views,
    credit_service,
    feature_views,
    marketing_service,
)
from features.errors import FeatureFromTheFuture, MaterialisationIncomplete
from features.online.address import store_address
from features.online.encoding import entity_keys
from features.online.layout import ServiceLayout, ViewLayout, forget_layout, write_layout
from features.online.reader import OnlineReader, store_errors
from features.online.stored import SECONDS
from features.online.stores import open_store_of
from features.online.writing import ViewRows, open_writer
from features.place import PROJECT, feast_home
from features.query import query
from features.windows import ENTITY_COLUMNS
from group.libraries import hushed
from group.settings import Settings

_ONLINE_BATCH: Final = 1_000
_COUNTED: Final = 5_000
"""Keys of a view that are read back after materialising: all of a small one, evenly spread ones of a large one."""


def open_store(settings: Settings) -> FeatureStore:
    """Feast's store as the settings place it: registry and files in the home folder, online values by URL."""
    home = feast_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    configuration = RepoConfig(
        project=PROJECT,
        provider="local",
        registry={"path": str(home / "registry.db"), "cache_ttl_seconds": 600},
        offline_store={
            "type": "features.offline.store.AsofOfflineStore",
            "threads": settings.threads,
            "memory_limit": settings.memory_limit or None,
            "temp_directory": str(settings.home / "scratch"),
        },
        online_store=_online_store(settings.online_store_url, home),
        entity_key_serialization_version=3,
        repo_path=str(home),
    )
    return FeatureStore(config=configuration)


def apply_definitions(store: FeatureStore, features: Path) -> dict[str, int]:
    """Register the views that were computed and the service over them; return the features of each view."""
    views = available_views(features)
    in_feast = feature_views(views, features)
    with hushed():
        store.apply([*ENTITIES, *in_feast, credit_service(in_feast), marketing_service(in_feast)])
    write_layout(layout_of(store, CREDIT_SERVICE), Path(store.config.repo_path))
    return {view.name: len(view.features) for view in views}


def forget(store: FeatureStore) -> None:
    """Drop the definitions and everything online: before another data set takes this one's place."""
    forget_layout(Path(store.config.repo_path), CREDIT_SERVICE)
    with hushed(), store_errors(FeastError):
        store.teardown()


def materialise(
    settings: Settings,
    features: Path,
    as_of: datetime,
    *,
    progress: Callable[[str], None] = lambda _view: None,
) -> dict[str, int]:
    """Bring the feature rows of the instant ``as_of`` online, and count them there.

    The definitions must have been applied: they make the tables. ``progress`` is told each view once it is online.

    Returns:
        The number of parties (as each company sees them) online, by view.

    Raises:
        FeatureFromTheFuture: a row is dated at the instant but was created later.
        MaterialisationIncomplete: rows of the offline store are missing online.
        FeatureStoreUnavailable: the online store does not answer.
    """
    counts: dict[str, int] = {}
    home = feast_home(settings)
    with store_errors(), contextlib.closing(open_writer(settings.online_store_url, home, PROJECT)) as writer:
        for view in available_views(features):
            layout = ViewLayout(view.name, tuple(view.feature_names))
            keys = 0
            for rows in _rows_at(features / view.name, layout, as_of):
                writer.write(layout, rows)
                keys += len(rows.keys)
            sample = _keys_at(features / view.name, as_of).gather_every(-(-keys // _COUNTED) or 1)
            found = _count_online(settings, layout, sample)
            if not len(sample) or found != len(sample):
                raise MaterialisationIncomplete(
                    f"View '{view.name}': of {len(sample)} rows at {as_of:%Y-%m-%d}, {found} are online; "
                    "check that the online store is reachable and has room, then run `jinkong features` again."
                )
            counts[view.name] = keys
            progress(view.name)
    return counts


def point_in_time_frame(store: FeatureStore, entities: pl.DataFrame, service: str = CREDIT_SERVICE) -> pl.DataFrame:
    """Features of each row of ``entities`` as they were known at its instant.

    Args:
        store: where the definitions are applied.
        entities: ``legal_entity``, ``party_id``, ``event_timestamp``, and any columns to carry along.
        service: the feature service whose features are joined.

    Returns:
        ``entities`` in its order, with one float64 column a feature; null where nothing was known within the
        time to live. Rows dated or created after the instant are never used.
    """
    numbered = entities.with_row_index("entity_row")
    with hushed():
        joined = store.get_historical_features(
            entity_df=numbered.to_pandas(),
            features=store.get_feature_service(service),
            filter_by_created_timestamp=True,
        ).to_arrow()
    frame = pl.DataFrame(pl.from_arrow(joined)).sort("entity_row")
    names = service_features(store, service)
    return entities.hstack(frame.select(pl.col(name).cast(pl.Float64) for name in names))


def service_features(store: FeatureStore, service: str = CREDIT_SERVICE) -> list[str]:
    """Names of a service's features, in the order in which models take them."""
    return layout_of(store, service).features


def layout_of(store: FeatureStore, service: str) -> ServiceLayout:
    """What a reader of the service must know of it."""
    projections = store.get_feature_service(service).feature_view_projections
    views = (ViewLayout(view.name, tuple(feature.name for feature in view.features)) for view in projections)
    return ServiceLayout(store.project, service, tuple(views))


def _rows_at(folder: Path, view: ViewLayout, as_of: datetime) -> Iterator[ViewRows]:
    """The rows of an instant, a batch at a time; of several for one key, the one learnt last."""
    columns = ", ".join(f'"{name}"' for name in view.features)
    rows = f"""
        SELECT legal_entity, party_id, event_timestamp, created_timestamp, {columns}
        FROM read_parquet($files) WHERE event_timestamp = $as_of
        QUALIFY row_number() OVER (PARTITION BY legal_entity, party_id ORDER BY created_timestamp DESC) = 1
        ORDER BY legal_entity, party_id
        """  # noqa: S608 - names of our own catalogue
    with bounded_connection() as connection:
        found = connection.sql(rows, params={"files": f"{folder}/*.parquet", "as_of": as_of})
        for batch in found.to_arrow_reader(_ONLINE_BATCH):
            frame = pl.DataFrame(pl.from_arrow(batch))
            late = frame.filter(pl.col("created_timestamp") > as_of)
            if len(late):
                raise FeatureFromTheFuture(
                    f"{folder}: rows dated {as_of:%Y-%m-%d} were created after it, the first for party "
                    f"{late['party_id'][0]} of '{late['legal_entity'][0]}'; a value may not be used before it was "
                    "known."
                )
            yield ViewRows(
                entity_keys(ENTITY_COLUMNS, frame.select(ENTITY_COLUMNS).rows()),
                frame.select(pl.col(list(view.features)).fill_null(float("nan"))).to_numpy(),
                frame["event_timestamp"].to_list(),
                frame["created_timestamp"].to_list(),
            )


def _keys_at(folder: Path, as_of: datetime) -> pl.DataFrame:
    return query(
        "SELECT DISTINCT legal_entity, party_id FROM read_parquet($files) WHERE event_timestamp = $as_of ORDER BY ALL",
        {"files": f"{folder}/*.parquet", "as_of": as_of},
    )


def _count_online(settings: Settings, view: ViewLayout, keys: pl.DataFrame) -> int:
    """How many of the keys the online store has a row for, read back in batches."""
    layout = ServiceLayout(PROJECT, "", (view,))
    reader = OnlineReader(open_store_of(settings.online_store_url, feast_home(settings), layout), layout, view.features)
    return sum(int(reader.read(batch.rows()).found.sum()) for batch in keys.iter_slices(_ONLINE_BATCH))


def _online_store(url: str, home: Path) -> dict[str, Any]:
    if not url:
        return {"type": "sqlite", "path": str(home / "online.db")}
    address = store_address(url)
    if address.kind == "redis":
        parts = [f"{address.host}:{address.port}", f"db={address.database}"]
        parts += [f"socket_connect_timeout={SECONDS}", f"socket_timeout={SECONDS}"]
        if address.password:
            parts.append(f"password={address.password}")
        store = "features.online.feast_redis.JoinedRowsRedisOnlineStore"
        return {"type": store, "connection_string": ",".join(parts)}
    return {
        "type": "postgres",
        "host": address.host,
        "port": address.port,
        "database": address.database,
        "db_schema": "public",
        "user": address.user,
        "password": address.password,
    }

"""The feature store: apply the definitions, fill the online store, read features as of an instant."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
from feast import FeatureStore, RepoConfig
from feast.errors import FeastError
from google.protobuf.timestamp_pb2 import Timestamp

from features.catalogue import VIEWS
from features.definitions import CREDIT_SERVICE, ENTITIES, available_views, credit_service, feature_views
from features.errors import FeatureFromTheFuture, MaterialisationIncomplete
from features.online.address import store_address
from features.online.layout import ServiceLayout, ViewLayout, forget_layout, write_layout
from features.online.reader import OnlineReader, open_reader, store_errors
from features.online.stores import SECONDS
from features.query import query
from features.windows import ENTITY_COLUMNS
from group.libraries import hushed
from group.settings import Settings

_ONLINE_BATCH: Final = 1_000
_COUNTED: Final = 5_000
"""Keys of a view that are read back after materialising: all of a small one, evenly spread ones of a large one."""


def feast_home(settings: Settings) -> Path:
    """The folder of the registry, of SQLite's online store, and of what readers must know of the services."""
    return (settings.home / "feast").absolute()


def open_store(settings: Settings) -> FeatureStore:
    """Feast's store as the settings place it: registry and files in the home folder, online values by URL."""
    home = feast_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    configuration = RepoConfig(
        project="jinkong",
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
        store.apply([*ENTITIES, *in_feast, credit_service(in_feast)])
    write_layout(layout_of(store, CREDIT_SERVICE), Path(store.config.repo_path))
    return {view.name: len(view.features) for view in views}


def forget(store: FeatureStore) -> None:
    """Drop the definitions and everything online: before another data set takes this one's place."""
    forget_layout(Path(store.config.repo_path), CREDIT_SERVICE)
    with hushed(), store_errors(FeastError):
        store.teardown()


def materialise(
    store: FeatureStore,
    features: Path,
    as_of: datetime,
    *,
    progress: Callable[[str], None] = lambda _view: None,
) -> dict[str, int]:
    """Bring the feature rows of the instant ``as_of`` online, and count them there.

    ``progress`` is told each view once it is online.

    Returns:
        The number of parties (as each company sees them) online, by view.

    Raises:
        FeatureFromTheFuture: a row is dated at the instant but was created later.
        MaterialisationIncomplete: rows of the offline store are missing online.
    """
    counts: dict[str, int] = {}
    for view in available_views(features):
        keys = _keys_at(features / view.name, as_of)
        sample = keys.gather_every(-(-len(keys) // _COUNTED) or 1)
        with hushed():
            # Feast's range is closed at both ends; a narrow one leaves the month before alone.
            store.materialize(as_of - timedelta(seconds=1), as_of, feature_views=[view.name])
        found = _count_online(store, view.name, sample)
        if not len(sample) or found != len(sample):
            raise MaterialisationIncomplete(
                f"View '{view.name}': of {len(sample)} rows at {as_of:%Y-%m-%d}, {found} are online; "
                "check that the online store is reachable and has room, then run `jinkong features` again."
            )
        counts[view.name] = len(keys)
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


def online_reader(settings: Settings, features: Sequence[str], service: str = CREDIT_SERVICE) -> OnlineReader:
    """A reader of ``features``, in their order, from the online store that the settings name.

    Raises:
        FeatureStoreUnavailable: the service is not defined yet, or lacks one of the features.
    """
    return open_reader(settings.online_store_url, feast_home(settings), features, service)


def layout_of(store: FeatureStore, service: str) -> ServiceLayout:
    """What a reader of the service must know of it."""
    projections = store.get_feature_service(service).feature_view_projections
    views = (ViewLayout(view.name, tuple(feature.name for feature in view.features)) for view in projections)
    return ServiceLayout(store.project, service, tuple(views))


def _keys_at(folder: Path, as_of: datetime) -> pl.DataFrame:
    rows = query(
        """
        SELECT legal_entity, party_id, max(created_timestamp) > $as_of AS from_the_future
        FROM read_parquet($files)
        WHERE event_timestamp = $as_of
        GROUP BY ALL
        ORDER BY ALL
        """,
        {"files": f"{folder}/*.parquet", "as_of": as_of},
    )
    late = rows.filter("from_the_future")
    if len(late):
        raise FeatureFromTheFuture(
            f"{folder}: {len(late)} rows dated {as_of:%Y-%m-%d} were created after it, the first for party "
            f"{late['party_id'][0]} of '{late['legal_entity'][0]}'; a value may not be used before it was known."
        )
    return rows.select(ENTITY_COLUMNS)


def _count_online(store: FeatureStore, view: str, keys: pl.DataFrame) -> int:
    """How many of the keys the online store has a row for, read back in batches."""
    first = next(v for v in VIEWS if v.name == view).feature_names[0]
    found = 0
    for batch in keys.iter_slices(_ONLINE_BATCH):
        response = store.get_online_features(features=[f"{view}:{first}"], entity_rows=batch.to_dicts()).proto
        place = list(response.metadata.feature_names.val).index(first)
        found += sum(_is_there(instant) for instant in response.results[place].event_timestamps)
    return found


def _is_there(instant: Timestamp) -> bool:
    # A key that is absent is NOT_FOUND in SQLite and PRESENT in Redis, without a value; in both it has no instant.
    return bool(instant.seconds)


def _online_store(url: str, home: Path) -> dict[str, Any]:
    if not url:
        return {"type": "sqlite", "path": str(home / "online.db")}
    address = store_address(url)
    if address.kind == "redis":
        parts = [f"{address.host}:{address.port}", f"db={address.database}"]
        parts += [f"socket_connect_timeout={SECONDS}", f"socket_timeout={SECONDS}"]
        if address.password:
            parts.append(f"password={address.password}")
        return {"type": "redis", "connection_string": ",".join(parts)}
    return {
        "type": "postgres",
        "host": address.host,
        "port": address.port,
        "database": address.database,
        "db_schema": "public",
        "user": address.user,
        "password": address.password,
    }

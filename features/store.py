"""The feature store: apply the definitions, fill the online store, read features as of an instant or as of now."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import psycopg
import redis
from feast import FeatureStore, RepoConfig
from feast.errors import FeastError
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.engine import make_url

from features.catalogue import VIEWS
from features.definitions import CREDIT_SERVICE, ENTITIES, available_views, credit_service, feature_views
from features.errors import FeatureFromTheFuture, FeatureStoreUnavailable, MaterialisationIncomplete
from features.query import query
from features.windows import ENTITY_COLUMNS
from group.libraries import hushed
from group.settings import Settings

_ONLINE_BATCH: Final = 1_000
_REDIS_SECONDS: Final = 5
_COUNTED: Final = 5_000
"""Keys of a view that are read back after materialising: all of a small one, evenly spread ones of a large one."""


def open_store(settings: Settings) -> FeatureStore:
    """Feast's store as the settings place it: registry and files in the home folder, online values by URL."""
    home = (settings.home / "feast").absolute()
    home.mkdir(parents=True, exist_ok=True)
    configuration = RepoConfig(
        project="jinkong",
        provider="local",
        registry={"path": str(home / "registry.db"), "cache_ttl_seconds": 600},
        offline_store={"type": "duckdb"},
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
    return {view.name: len(view.features) for view in views}


def forget(store: FeatureStore) -> None:
    """Drop the definitions and everything online: before another data set takes this one's place."""
    with hushed(), _store_errors():
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
    projections = store.get_feature_service(service).feature_view_projections
    return [feature.name for projection in projections for feature in projection.features]


@dataclass(frozen=True, slots=True)
class OnlineRows:
    """What the online store holds of some parties.

    ``values`` is ``(n, k) float64``, NaN for null; ``found (n,) bool`` tells whether the party is there at all, and
    ``as_of`` (n) when its values became true (None where it is not there).
    """

    values: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    as_of: list[datetime | None]


class OnlineReader:
    """Reads features of parties as a company sees them now. One reader serves many threads."""

    def __init__(self, store: FeatureStore, features: Sequence[str], service: str = CREDIT_SERVICE) -> None:
        """Read ``features`` of ``service``, in this order.

        Raises:
            FeatureStoreUnavailable: the service is not defined there, or lacks one of the features.
        """
        self._store = store
        self._features = list(features)
        with _store_errors():
            self._service = store.get_feature_service(service)
            missing = sorted(set(features) - set(service_features(store, service)))
        if missing:
            raise FeatureStoreUnavailable(
                f"The feature service '{service}' lacks {len(missing)} of the features asked for, such as "
                f"'{missing[0]}'; run `jinkong features` and `jinkong train` again."
            )

    def read(self, parties: Sequence[tuple[str, str]]) -> OnlineRows:
        """Features of ``(legal_entity, party_id)`` pairs, from the online store.

        Raises:
            FeatureStoreUnavailable: the online store does not answer.
        """
        with _store_errors():
            response = self._store.get_online_features(
                features=self._service,
                entity_rows=[dict(zip(ENTITY_COLUMNS, party, strict=True)) for party in parties],
            ).proto
        columns = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
        values = np.full((len(parties), len(self._features)), np.nan)
        found = np.zeros(len(parties), np.bool_)
        as_of: list[datetime | None] = [None] * len(parties)
        for place, name in enumerate(self._features):
            vector = columns[name]
            for row, (instant, value) in enumerate(zip(vector.event_timestamps, vector.values, strict=True)):
                if not _is_there(instant):
                    continue
                if not found[row]:
                    found[row] = True
                    as_of[row] = instant.ToDatetime(tzinfo=UTC)
                if value.HasField("double_val"):
                    values[row, place] = value.double_val
        return OnlineRows(values, found, as_of)


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """What Feast and its stores raise when one of them is away, as one error of ours."""
    try:
        yield
    except (FeastError, redis.RedisError, psycopg.Error, sqlite3.Error, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FeatureStoreUnavailable(
            f"The feature store does not answer: {reason}. Run `jinkong features` if it was never filled, "
            "and `jinkong doctor` to see what is in the way."
        ) from None


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
    address = make_url(url)
    if address.drivername == "redis":
        parts = [f"{address.host}:{address.port or 6379}", f"db={address.database or 0}"]
        parts += [f"socket_connect_timeout={_REDIS_SECONDS}", f"socket_timeout={_REDIS_SECONDS}"]
        if address.password:
            parts.append(f"password={address.password}")
        return {"type": "redis", "connection_string": ",".join(parts)}
    return {
        "type": "postgres",
        # A server on this machine may listen on a socket in a folder, which a URL names as ?host=/folder.
        "host": address.host or address.query.get("host") or "localhost",
        "port": address.port or 5432,
        "database": address.database,
        "db_schema": "public",
        "user": address.username or "postgres",
        "password": address.password or "",
    }

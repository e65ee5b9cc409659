"""What Feast calls: an offline store that answers from Parquet files with ``features.offline.join``.

It takes the place of Feast's own ``duckdb`` store for ``FileSource`` of Parquet. Two differences are meant: a
projection that renames some of a view's join keys keeps the others (Feast's store then joins on the renamed ones
alone), and pushed rows become a file of their own rather than a rewrite of everything before them.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from features.connection import bounded_connection
from features.errors import UnknownFeatures, UnsupportedSource
from features.offline.join import FeatureRows, as_known, quoted, quoted_text, read_rows
from group.files import written_whole


class AsofOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc] # Feast brings no types
    """Settings of the store. What is left out is DuckDB's default: all cores, four fifths of the memory."""

    type: Literal["features.offline.store.AsofOfflineStore"] = "features.offline.store.AsofOfflineStore"
    threads: int | None = None
    memory_limit: str | None = None
    """For example ``4GB``; a join that needs more goes through files in ``temp_directory``."""
    temp_directory: str | None = None


class AsofRetrievalJob(RetrievalJob):  # type: ignore[misc] # Feast brings no types
    """A query that runs when its result is asked for."""

    def __init__(
        self,
        run: Callable[[], pa.Table],
        config: RepoConfig,
        *,
        on_demand: Sequence[OnDemandFeatureView] = (),
        full_feature_names: bool = False,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._run = run
        self._config = config
        self._on_demand = list(on_demand)
        self._full_feature_names = full_feature_names
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether columns are named ``view__feature``."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views that Feast computes from the result."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and the range of instants, of a point-in-time query."""
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's signature
        return self._run()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        timeout: int | None = None,  # noqa: ARG002
    ) -> None:
        """Write the result as one Parquet file.

        Raises:
            SavedDatasetLocationAlreadyExists: there is one, and it may not be replaced.
            UnsupportedSource: the storage is no Parquet file.
        """
        source = _file_source(storage.to_data_source())
        path = _local_path(source, self._config)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=source.path)
        _write_whole(self.to_arrow(), path)


class AsofOfflineStore(OfflineStore):  # type: ignore[misc] # Feast brings no types
    """Point-in-time joins, ranges and writes over Parquet files."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002
        **unsupported: Any,
    ) -> RetrievalJob:
        """The asked rows in their order, with the features that were known at each row's instant.

        Raises:
            UnsupportedSource: a view's source is no Parquet file, or there is no ``entity_df``.
            UnknownFeatures: ``entity_df`` lacks a join key of a view.
        """
        if entity_df is None or unsupported:
            raise UnsupportedSource("This offline store joins to rows: pass entity_df, with keys and an instant each.")
        asked, instant = _asked_rows(entity_df, config)
        views = [_feature_rows(view, feature_refs, config, full=full_feature_names) for view in feature_views]
        _require_keys(asked, feature_views, views)
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)

        def run() -> pa.Table:
            result = pa.Table.from_pandas(asked, preserve_index=False)
            joined_on = result.select(
                list(dict.fromkeys([instant, *(key for view in views for key in view.keys.values())]))
            )
            with _connection(config) as connection:
                joined = as_known(connection, joined_on, views, instant=instant, by_created=filter_by_created_timestamp)
            for table in joined:
                for name in table.column_names:
                    result = result.append_column(name, table[name])
            return result

        known = asked[instant].dropna()
        return AsofRetrievalJob(
            run,
            config,
            on_demand=on_demand,
            full_feature_names=full_feature_names,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[column for column in asked.columns if column != instant],
                min_event_timestamp=known.min().to_pydatetime() if len(known) else None,
                max_event_timestamp=known.max().to_pydatetime() if len(known) else None,
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Of each key, the row with the latest event within the range (both ends), of several the one created last."""
        keys = ", ".join(map(quoted, join_key_columns)) or "true"
        order = f"{quoted(timestamp_field)} DESC"
        if created_timestamp_column:
            order += f", {quoted(created_timestamp_column)} DESC NULLS LAST"
        return _range_job(
            config,
            data_source,
            join_key_columns,
            [*feature_name_columns, timestamp_field, created_timestamp_column],
            timestamp_field,
            start_date,
            end_date,
            qualify=f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1",
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row within the range, both ends included."""
        columns = [*feature_name_columns, timestamp_field, created_timestamp_column]
        return _range_job(config, data_source, join_key_columns, columns, timestamp_field, start_date, end_date)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Add rows to a view's source, as a file of their own where the source is a folder or a pattern.

        The same rows written twice are one file: it is named after what it holds.

        Raises:
            UnsupportedSource: the source is no Parquet file.
            ValueError: the columns are not those of the source, in their order.
        """
        source = _file_source(feature_view.batch_source)
        with _connection(config) as connection:
            schema = connection.sql(f"FROM {read_rows(_files(source, config))} LIMIT 0").to_arrow_table().schema
        if schema.names != table.column_names:
            raise ValueError(
                f"View '{feature_view.name}': the rows have columns {table.column_names}, "
                f"its source has {schema.names}."
            )
        _append(table.cast(schema), source, config)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,  # noqa: ARG004 - Feast's signature
        logging_config: LoggingConfig,
        registry: BaseRegistry,  # noqa: ARG004
    ) -> None:
        """Add what a feature server logged to the folder that the log goes to."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise UnsupportedSource(f"Logged features go to Parquet files, not to {type(destination).__name__}.")
        table = pq.read_table(data) if isinstance(data, Path) else data
        folder = Path(destination.path)
        if config.repo_path is not None and not folder.is_absolute():
            folder = Path(config.repo_path) / folder
        _write_whole(table, folder / f"{_content_name(table)}.parquet")


def _range_job(
    config: RepoConfig,
    data_source: DataSource,
    keys: Sequence[str],
    columns: Sequence[str | None],
    timestamp_field: str,
    start: datetime | None,
    end: datetime | None,
    *,
    qualify: str = "",
) -> RetrievalJob:
    source = _file_source(data_source)
    # Feast keeps a view without an entity under one key of its own, which is in no file.
    key_names = [*map(quoted, keys)] or [f"{quoted_text(DUMMY_ENTITY_VAL)} AS {quoted(DUMMY_ENTITY_ID)}"]
    names = ", ".join([*key_names, *(quoted(column) for column in columns if column)])
    bounds = [(">=", start), ("<=", end)]
    where = " AND ".join(
        f"{quoted(timestamp_field)} {sign} make_timestamptz({_epoch_us(bound)})" for sign, bound in bounds if bound
    )

    def run() -> pa.Table:
        with _connection(config) as connection:
            return connection.sql(
                f"SELECT {names} FROM {read_rows(_files(source, config))} WHERE {where or 'true'} {qualify}"  # noqa: S608
            ).to_arrow_table()

    return AsofRetrievalJob(run, config)


def _epoch_us(instant: datetime) -> int:
    return int(pd.Timestamp(instant.astimezone()).value // 1_000)


def _connection(config: RepoConfig) -> duckdb.DuckDBPyConnection:
    settings = config.offline_store
    return bounded_connection(settings.threads, settings.memory_limit, settings.temp_directory)


def _asked_rows(entity_df: pd.DataFrame | str, config: RepoConfig) -> tuple[pd.DataFrame, str]:
    """The rows, their instants in UTC, and the column that holds those."""
    if isinstance(entity_df, str):
        with _connection(config) as connection:
            rows = connection.sql(entity_df).to_df()
    else:
        rows = entity_df.reset_index(drop=True)
    instant = str(infer_event_timestamp_from_entity_df(dict(zip(rows.columns, rows.dtypes, strict=True))))
    in_utc = pd.to_datetime(rows[instant], utc=True).astype("datetime64[us, UTC]")
    return rows.assign(**{instant: in_utc}), instant


def _feature_rows(view: FeatureView, feature_refs: Sequence[str], config: RepoConfig, *, full: bool) -> FeatureRows:
    source = _file_source(view.batch_source)
    asked_as = view.projection.name_to_use()
    prefix = f"{view.projection.name_alias or view.name}__" if full else ""
    names = [reference.split(":", 1)[1] for reference in feature_refs if reference.startswith(f"{asked_as}:")]
    renamed_keys = view.projection.join_key_map
    return FeatureRows(
        files=_files(source, config),
        event_timestamp=source.timestamp_field,
        created_timestamp=source.created_timestamp_column or None,
        keys={
            column.name: renamed_keys.get(column.name, column.name)
            for column in view.entity_columns
            if column.name != DUMMY_ENTITY_ID
        },
        features={name: f"{prefix}{name}" for name in names},
        time_to_live=view.ttl or None,
        renamed=dict(source.field_mapping or {}),
    )


def _require_keys(asked: pd.DataFrame, views: Sequence[FeatureView], rows: Sequence[FeatureRows]) -> None:
    for view, view_rows in zip(views, rows, strict=True):
        missing = [key for key in view_rows.keys.values() if key not in asked.columns]
        if missing:
            raise UnknownFeatures(
                f"View '{view.name}' joins on {', '.join(missing)}, which the asked rows lack; "
                f"they have {', '.join(map(str, asked.columns))}."
            )


def _file_source(source: DataSource | None) -> FileSource:
    if not isinstance(source, FileSource):
        raise UnsupportedSource(f"This offline store reads Parquet files, not {type(source).__name__}.")
    if source.file_format is not None and type(source.file_format).__name__ != "ParquetFormat":
        raise UnsupportedSource(f"{source.path} is {type(source.file_format).__name__}; this store reads Parquet.")
    return source


def _files(source: FileSource, config: RepoConfig) -> str:
    path = str(_local_path(source, config)) if "://" not in source.path else source.path
    return f"{path}/**/*.parquet" if Path(path).is_dir() else path


def _local_path(source: FileSource, config: RepoConfig) -> Path:
    if "://" in source.path and not source.path.startswith("file://"):
        raise UnsupportedSource(f"{source.path}: this store writes to files, not to object storage.")
    path = Path(source.path.removeprefix("file://"))
    return path if path.is_absolute() or config.repo_path is None else Path(config.repo_path) / path


def _append(table: pa.Table, source: FileSource, config: RepoConfig) -> None:
    path = _local_path(source, config)
    if path.is_file():
        _write_whole(pa.concat_tables([pq.read_table(path), table], promote_options="permissive"), path)
        return
    folder = path if path.is_dir() else path.parent
    _write_whole(table, folder / f"pushed-{_content_name(table)}.parquet")


def _content_name(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.blake2b(sink.getvalue(), digest_size=16).hexdigest()


def _write_whole(table: pa.Table, path: Path) -> None:
    with written_whole(path) as part:
        pq.write_table(table, part, compression="snappy")

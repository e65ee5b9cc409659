"""A point-in-time frame: 200k asked rows, three views of 3M rows, 40 features."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64, String

from group.libraries import hushed
from tests.bench.timing import medians, ratio

FEATURES = (14, 13, 13)
DAYS = 730
ENTITIES = (
    Entity(name="legal_entity", join_keys=["legal_entity"], value_type=ValueType.STRING),
    Entity(name="party", join_keys=["party_id"], value_type=ValueType.STRING),
)


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Feast joins all rows within the time to live before it picks one: its time hangs on how many those are."""
    asked = write_rows(folder, rows=round(3_000_000 * scale), asked=round(200_000 * scale))
    return {
        "asked_rows": len(asked),
        "rows_a_view": round(3_000_000 * scale),
        "features": sum(FEATURES),
        **{
            f"time_to_live_{f'{days}_days' if days else 'none'}": compared(folder, asked, days, rounds)
            for days in (0, 360, 45)
        },
    }


def compared(folder: Path, asked: pd.DataFrame, days: int, rounds: int) -> dict[str, Any]:
    """Ours, Feast's and the hand-written query, after checking that the three give the same values."""
    kinds = ("duckdb", "features.offline.store.AsofOfflineStore")
    feasts, ours = (store_of(folder, kind, timedelta(days=days)) for kind in kinds)

    def through(store: FeatureStore) -> pa.Table:
        references = [f"view_{view}:{name}" for view in range(len(FEATURES)) for name in names(view)]
        with hushed():
            return store.get_historical_features(asked, references, filter_by_created_timestamp=True).to_arrow()

    def by_hand() -> pa.Table:
        return hand_written(folder, asked, days)

    wanted = in_order(through(feasts))
    assert in_order(through(ours)).equals(wanted), "ours differs from Feast's"
    assert in_order(by_hand()).equals(wanted), "the hand-written query differs from Feast's"
    times = medians(rounds, feast=lambda: through(feasts), ours=lambda: through(ours), hand_written=by_hand)
    return {
        "values_equal": True,
        "feast_over_ours": ratio(times, "feast", "ours"),
        "ours_over_hand_written": ratio(times, "ours", "hand_written"),
        "times": times,
    }


def names(view: int) -> list[str]:
    """Features of a view."""
    return [f"f{view}_{number}" for number in range(FEATURES[view])]


def write_rows(folder: Path, rows: int, asked: int) -> pd.DataFrame:
    """Write the views, whose rows are known as soon as they happen; return the asked rows."""
    random = np.random.default_rng(7)
    start = np.datetime64("2023-01-01", "us")
    parties = rows // 60
    for view in range(len(FEATURES)):
        party = random.integers(0, parties, rows)
        happened = start + random.integers(0, DAYS * 86_400, rows).astype("timedelta64[s]")
        frame = pl.DataFrame(
            {
                **keys(party),
                "event_timestamp": pl.Series(happened).dt.replace_time_zone("UTC"),
                "created_timestamp": pl.Series(happened).dt.replace_time_zone("UTC"),
                **{name: random.normal(size=rows) for name in names(view)},
            }
        ).unique(["legal_entity", "party_id", "event_timestamp"], maintain_order=True)
        frame.write_parquet(folder / f"view_{view}.parquet", compression="snappy")
    party = random.integers(0, parties, asked)
    at = start + random.integers(60 * 86_400, DAYS * 86_400, asked).astype("timedelta64[s]")
    frame = pl.DataFrame(
        {"number": np.arange(asked), **keys(party), "event_timestamp": pl.Series(at).dt.replace_time_zone("UTC")}
    )
    return frame.to_pandas()


def keys(party: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, pl.Series]:
    """Keys like those of the product: the company's name and a text of twelve characters."""
    companies = pl.Series(np.array(["consumer", "credit", "leasing"])[party % 3])
    return {"legal_entity": companies, "party_id": "P" + pl.Series(party).cast(pl.String).str.zfill(11)}


def store_of(folder: Path, kind: str, time_to_live: timedelta) -> FeatureStore:
    """The same definitions over the same files in the offline store ``kind``."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"path": str(folder / f"{kind}.{time_to_live.days}.db"), "cache_ttl_seconds": 600},
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(folder / f"{kind}.online.db")},
        entity_key_serialization_version=3,
        repo_path=str(folder),
    )
    store = FeatureStore(config=config)
    views = [
        FeatureView(
            name=f"view_{view}",
            entities=list(ENTITIES),
            ttl=time_to_live,
            schema=[
                *(Field(name=key, dtype=String) for key in ("legal_entity", "party_id")),
                *(Field(name=name, dtype=Float64) for name in names(view)),
            ],
            source=FileSource(
                name=f"source_{view}",
                path=str(folder / f"view_{view}.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for view in range(len(FEATURES))
    ]
    with hushed():
        store.apply([*ENTITIES, *views])
    return store


def hand_written(folder: Path, asked: pd.DataFrame, days: int) -> pa.Table:
    """What somebody would write who has just this one question: no late rows, no ties, one chain of joins."""
    alive = "CASE WHEN asked.event_timestamp <= view_{0}.event_timestamp + INTERVAL {1} DAY THEN {2} END AS {2}"
    columns = ", ".join(
        alive.format(view, days, name) if days else name for view in range(len(FEATURES)) for name in names(view)
    )
    joins = " ".join(
        f"ASOF LEFT JOIN '{folder}/view_{view}.parquet' AS view_{view} "
        f"ON asked.legal_entity = view_{view}.legal_entity AND asked.party_id = view_{view}.party_id "
        f"AND asked.event_timestamp >= view_{view}.event_timestamp"
        for view in range(len(FEATURES))
    )
    with duckdb.connect() as connection:
        connection.register("asked", asked)
        return connection.sql(f"SELECT asked.*, {columns} FROM asked {joins}").to_arrow_table()


def in_order(table: pa.Table) -> pl.DataFrame:
    """The features by the number of the asked row, to be compared."""
    wanted = ["number", *(name for view in range(len(FEATURES)) for name in names(view))]
    return pl.DataFrame(pl.from_arrow(table.select(wanted))).sort("number")

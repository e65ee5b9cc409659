"""What is on offer, as a YAML file says it: views that are computed here, or a vendor's file, and what a year costs.

::

    sources:
      bureau:  {views: [bureau], cost_per_year: 300000}
      telecom: {file: telecom.parquet, cost_per_year: 120000}

A vendor's file has ``legal_entity``, ``customer_id``, ``event_timestamp`` and ``created_timestamp``; its other numeric
columns are what is judged.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.catalogue import VIEWS
from features.errors import ContractBroken, UnusableMapping
from features.query import query
from features.sources.files import read_table
from features.sources.quality.judgement import SourceOffer

_MOST: Final = 12
"""Sources judged at once: each two of them take a model."""

_KEYS: Final = ("legal_entity", "customer_id", "event_timestamp", "created_timestamp")


class Offer(BaseModel):
    """One source: the views that would be dropped without it, or a vendor's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: tuple[str, ...] = ()
    file: Path | None = None
    cost_per_year: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_kind(self) -> "Offer":
        if bool(self.views) == (self.file is not None):
            raise ValueError("give either views or a file")
        known = [view.name for view in VIEWS]
        for name in self.views:
            if name not in known:
                raise ValueError(f"'{name}' is no view; these are: {', '.join(known)}")
        return self


class Offers(BaseModel):
    """Sources by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[str, Offer] = Field(min_length=1, max_length=_MOST)


def read_offers(path: Path) -> Offers:
    """The offers in a YAML file.

    Raises:
        UnusableMapping: it cannot be read, or says something that means nothing; the place is told.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Offers.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableMapping(f"{path} cannot be read ({error}).") from None
    except yaml.YAMLError as error:
        raise UnusableMapping(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnusableMapping(f"{path}: {place}: {first['msg']}.") from None


def vendor_columns(name: str, offer: Offer, frame: pl.DataFrame, parties: Path) -> tuple[pl.DataFrame, SourceOffer]:
    """The frame with a vendor's columns as they were known at each row's instant, and the offer with what was seen.

    Args:
        name: of the source; it goes before the names of its columns.
        offer: with a file.
        frame: ``legal_entity, party_id, event_timestamp`` and more.
        parties: glob of ``canonical/parties``.

    Raises:
        UnreadableFile: the file cannot be read.
        ContractBroken: it lacks a key column, or has no numeric column beside the keys.
    """
    path = offer.file or Path()
    rows = read_table(path)
    missing = [key for key in _KEYS if key not in rows.columns]
    if missing:
        raise ContractBroken(f"{path} needs the columns {', '.join(_KEYS)}; it lacks {', '.join(missing)}.")
    times = [_instant(key, rows.schema[key]) for key in _KEYS[2:]]
    numbers = [pl.col(column).cast(pl.Float64, strict=False) for column in rows.columns if column not in _KEYS]
    typed = rows.select(*_KEYS[:2], *times, *numbers)
    told = [column for column in typed.columns if column not in _KEYS and typed[column].null_count() < len(typed)]
    if not told:
        raise ContractBroken(f"{path} has no column of numbers beside {', '.join(_KEYS)}.")
    renamed = typed.select(*_KEYS, *(pl.col(column).alias(f"{name}_{column}") for column in told))
    valid = renamed.filter(pl.col("created_timestamp") >= pl.col("event_timestamp"))
    found = query(
        """
        SELECT target.row, vendor.* EXCLUDE (legal_entity, customer_id, created_timestamp)
        FROM target
        JOIN read_parquet($parties) AS parties USING (legal_entity, party_id)
        JOIN vendor ON vendor.legal_entity = parties.legal_entity AND vendor.customer_id = parties.customer_id
        WHERE vendor.event_timestamp <= target.event_timestamp AND vendor.created_timestamp <= target.event_timestamp
        QUALIFY row_number() OVER (
            PARTITION BY target.row ORDER BY vendor.event_timestamp DESC, vendor.created_timestamp DESC
        ) = 1
        """,
        {"parties": str(parties)},
        target=frame.select("legal_entity", "party_id", "event_timestamp").with_row_index("row"),
        vendor=valid,
    )
    joined = frame.with_row_index("row").join(found.rename({"event_timestamp": "told_at"}), on="row", how="left")
    columns = tuple(f"{name}_{column}" for column in told)
    days = joined.select((pl.col("event_timestamp") - pl.col("told_at")).dt.total_seconds() / 86_400)
    delay = valid.select((pl.col("created_timestamp") - pl.col("event_timestamp")).dt.total_seconds() / 86_400)
    seen = SourceOffer(
        name, columns, offer.cost_per_year, len(valid) / len(rows) if len(rows) else None,
        _median(delay.to_series()), _median(days.to_series()),
    )  # fmt: skip
    return joined.drop("row", "told_at"), seen


def delivery_of(tables: dict[str, float | None], canonical: Path, as_of: datetime) -> tuple[float | None, ...]:
    """Validity, delay and age of what canonical tables were delivered: the worst of them.

    Args:
        tables: the share of rows kept, by table.
        canonical: where they lie.
        as_of: until when they were observed.
    """
    delays, ages = [], []
    for table in tables:
        delay, age = query(
            """
            SELECT
                median(epoch(created_timestamp) - epoch(event_timestamp)) / 86400,
                (SELECT median(days) FROM (
                    SELECT (epoch($as_of) - max(epoch(event_timestamp))) / 86400 AS days
                    FROM read_parquet($rows) WHERE event_timestamp <= $as_of GROUP BY legal_entity, customer_id
                ))
            FROM read_parquet($rows)
            """,
            {"rows": f"{canonical}/{table}/*.parquet", "as_of": as_of},
        ).row(0)
        delays.append(delay)
        ages.append(age)
    shares = [share for share in tables.values() if share is not None]
    return (
        min(shares, default=None),
        max((delay for delay in delays if delay is not None), default=None),
        max((age for age in ages if age is not None), default=None),
    )


def _instant(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return pl.col(name).dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _median(values: pl.Series) -> float | None:
    found = values.median()
    return float(found) if isinstance(found, int | float) else None

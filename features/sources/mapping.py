"""Foreign tables as canonical ones: which column is which, what foreign codes mean, where a constant stands.

A mapping is a YAML file::

    tables:
      customers:
        from: clients.xlsx              # a file of the folder, or a table of the database
        columns:
          legal_entity: {value: consumer}
          customer_id: client_no        # the foreign column
          gender: {column: sex, codes: {"1": male, "2": female}}
          income_per_month: {column: income_cents, divide_by: 100}
          event_timestamp: {column: opened_on, format: "%d.%m.%Y", zone: Asia/Shanghai}

Values pass on as texts; whether they keep the contract is the contract's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.contracts.tables import CONTRACTS
from features.errors import UnusableMapping

_MOST_BYTES: Final = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_column(given: object) -> object:
    return {"column": given} if isinstance(given, str) else given


class ColumnMapping(_Strict):
    """Where a canonical column comes from: a foreign column, with its codes, scale or format; or a constant.

    ``codes`` are the foreign values and what they mean; with ``otherwise`` for those not named, without it an unknown
    code passes on as it is and the contract rejects its row. ``divide_by`` scales numbers exactly. ``format`` is how
    foreign dates and times are written (strptime), ``zone`` the time zone they are meant in, UTC if left out.
    """

    column: str | None = None
    value: str | int | bool | None = None
    codes: dict[str, str] | None = None
    otherwise: str | None = None
    divide_by: int | None = Field(None, ge=1, le=1_000_000)
    format: str | None = None
    zone: str | None = None

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError(f"'{zone}' is no time zone; write one such as Asia/Shanghai")
        return zone

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnMapping":
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        if self.zone and not self.format:
            raise ValueError("a zone needs the format of the times it is for")
        if self.otherwise is not None and self.codes is None:
            raise ValueError("otherwise is for codes that are not named, and there are none")
        return self


class TableMapping(_Strict):
    """A canonical table: the foreign file or table it comes ``from``, and its columns."""

    origin: str = Field(alias="from", min_length=1)
    columns: dict[str, Annotated[ColumnMapping, BeforeValidator(_as_column)]]


class Mapping(_Strict):
    """Canonical tables by name."""

    tables: dict[str, TableMapping] = Field(min_length=1)

    @model_validator(mode="after")
    def _canonical(self) -> "Mapping":
        for table, mapped in self.tables.items():
            if table not in CONTRACTS:
                raise ValueError(f"'{table}' is no canonical table; these are: {', '.join(CONTRACTS)}")
            known = CONTRACTS[table].columns
            for name in mapped.columns:
                if name not in known:
                    raise ValueError(f"{table}: '{name}' is no column of it; these are: {', '.join(known)}")
        return self


@dataclass(frozen=True, slots=True)
class MappedTable:
    """A foreign table as a canonical one: its rows as texts, and the foreign columns that nothing was taken from."""

    rows: pl.DataFrame
    unused: tuple[str, ...]


def read_mapping(path: Path) -> Mapping:
    """The mapping in a YAML file.

    Raises:
        UnusableMapping: it is absent, no YAML, or says something that means nothing; the place is told.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UnusableMapping(f"{path} is larger than 1 MiB; a mapping is a page or two.")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableMapping(f"{path} cannot be read ({error}).") from None
    except yaml.YAMLError as error:
        raise UnusableMapping(f"{path} is no YAML: {' '.join(str(error).split())}.") from None
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{_place(fault['loc'])}{fault['msg']}" for fault in error.errors()[:3])
        raise UnusableMapping(f"{path}: {faults}.") from None


def mapped(table: str, mapping: TableMapping, foreign: pl.DataFrame) -> MappedTable:
    """The rows of a foreign table as the canonical table has them, every value as text.

    Raises:
        UnusableMapping: the foreign table lacks a column that the mapping names.
    """
    wanted = [column.column for column in mapping.columns.values() if column.column is not None]
    missing = sorted(set(wanted) - set(foreign.columns))
    if missing:
        raise UnusableMapping(
            f"Table '{table}' takes {', '.join(missing)} from '{mapping.origin}', which has the columns "
            f"{', '.join(foreign.columns)}."
        )
    rows = foreign.select(_expression(name, column, foreign) for name, column in mapping.columns.items())
    return MappedTable(rows, tuple(name for name in foreign.columns if name not in wanted))


def _expression(name: str, column: ColumnMapping, foreign: pl.DataFrame) -> pl.Expr:
    if column.column is None:
        constant = str(column.value).lower() if isinstance(column.value, bool) else str(column.value)
        return pl.repeat(constant, len(foreign), dtype=pl.String).alias(name)
    source = pl.col(column.column)
    dtype = foreign.schema[column.column]
    text = _as_text(source, dtype).str.strip_chars()
    if column.codes is not None:
        known = text.replace_strict(column.codes, default=None, return_dtype=pl.String)
        text = pl.coalesce(known, pl.lit(column.otherwise) if column.otherwise is not None else text)
    if column.divide_by is not None:
        text = text.map_elements(_Divided(column.divide_by), return_dtype=pl.String)
    if column.format is not None and not dtype.is_temporal():
        text = _instant(text, column.format, column.zone)
    return text.alias(name)


def _as_text(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        zoned = source if dtype.time_zone else source.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype.is_float():
        # Spreadsheets hold 17 as 17.0.
        whole = source == source.round()
        return (
            pl.when(whole).then(source.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(source.cast(pl.String))
        )
    return source.cast(pl.String)


def _instant(text: pl.Expr, written: str, zone: str | None) -> pl.Expr:
    """Dates and times as ISO 8601 in UTC; what is not written so passes on for the contract to reject."""
    parsed = text.str.to_datetime(written, strict=False, time_unit="us")
    moved = parsed.dt.replace_time_zone(str(ZoneInfo(zone or "UTC")), ambiguous="earliest", non_existent="null")
    told = moved.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.coalesce(told, text)


@dataclass(frozen=True, slots=True)
class _Divided:
    """Exact division of a number written as text; what is no number passes on."""

    by: int

    def __call__(self, text: str) -> str:
        try:
            return f"{Decimal(text) / self.by:f}"
        except InvalidOperation:
            return text


def _place(location: Sequence[Any]) -> str:
    return f"{'.'.join(str(part) for part in location)}: " if location else ""

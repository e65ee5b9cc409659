"""The target and the time of a flat table: which value is the event, and when each row was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from training.errors import UnusableTable
from training.table.readings import Reading, as_days, as_numbers, without_empty
from training.table.request import TableRequest

Vector = npt.NDArray[np.float64]

LEAST_EVENTS: Final = 10
_POSITIVE: Final = ("1", "yes", "true", "y", "t", "bad", "default", "defaulted", "是", "违约")
_NEGATIVE: Final = ("0", "no", "false", "n", "f", "good", "paid", "non-default", "否", "正常")


@dataclass
class Notes:
    """What is told of a file: how its columns were read, and what somebody should look at."""

    readings: list[Reading] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_target(table: pl.DataFrame, request: TableRequest, notes: Notes) -> tuple[pl.DataFrame, Vector, str]:
    """The rows that have a target, their labels, and the value that is the event.

    Raises:
        UnusableTable: it cannot be told which value is the event, or there are too few of either.
    """
    column = without_empty(table[request.target])
    texts = _as_text(column)
    known = texts.is_not_null()
    lost = len(texts) - int(known.sum())
    if lost:
        notes.warnings.append(f"{lost:,} rows have no value in '{request.target}' and are left out.")
    table, texts = table.filter(known), texts.filter(known)
    values = texts.unique().sort().to_list()
    where = f"{request.path}: the target '{request.target}'"
    if not values:
        raise UnusableTable(f"{where} has no value in any row.")
    event = _event(where, values, request.positive)
    if len(values) == 1:
        raise UnusableTable(f"{where} holds only '{values[0]}' in all {len(texts):,} rows: there is nothing to learn.")
    if len(values) > 2:
        others = ", ".join(repr(value) for value in values if value != event)
        notes.warnings.append(f"'{request.target}' has {len(values)} values: '{event}' is the event, {others} are not.")
    labels = (texts == event).cast(pl.Float64).to_numpy()
    events = int(labels.sum())
    if min(events, len(labels) - events) < LEAST_EVENTS:
        raise UnusableTable(
            f"{where} has {events} rows with '{event}' and {len(labels) - events} without; of each, at least "
            f"{LEAST_EVENTS} are needed to train and to judge."
        )
    others = " / ".join(value for value in values if value != event)
    notes.readings.append(Reading(request.target, "number", f"the target: '{event}' is 1, {others} is 0"))
    return table, labels, event


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8).cast(pl.String)
    if column.dtype.is_float():
        whole = column.drop_nulls().drop_nans()
        if len(whole) and bool((whole == whole.round()).all()):
            return column.fill_nan(None).cast(pl.Int64, strict=False).cast(pl.String)
    texts = column.cast(pl.String)
    return texts.str.replace(r"^(-?\d+)\.0+$", "${1}")


def _event(where: str, values: Sequence[str], positive: str | None) -> str:
    if positive is not None:
        if positive not in values:
            raise UnusableTable(f"{where} never is '{positive}', which --positive names; it is {_listed(values)}.")
        return positive
    if len(values) == 1:
        return values[0]
    events = [value for value in values if value.casefold() in _POSITIVE]
    rest = [value for value in values if value.casefold() in _NEGATIVE]
    if len(values) == 2 and len(events) == len(rest) == 1:
        return events[0]
    likely = events[0] if events and not events[0].isdigit() else values[-1]
    raise UnusableTable(f"{where} is {_listed(values)}; say which is the event: --positive {likely}.")


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(repr(value) for value in values[:6])
    return shown if len(values) <= 6 else f"{shown} and {len(values) - 6:,} more"


def read_time(table: pl.DataFrame, request: TableRequest, notes: Notes) -> Vector | None:
    """When each row was, in days or another number that grows with time; None if no column says it.

    Raises:
        UnusableTable: a row's time is empty or does not parse.
    """
    if request.time is None:
        return None
    column = without_empty(table[request.time])
    where = f"{request.path}: the time '{request.time}'"
    how = "as they stand"
    if isinstance(column.dtype, pl.Datetime):
        days = column.dt.epoch("us").cast(pl.Float64) / 86_400e6
    elif column.dtype == pl.Date:
        days = column.dt.epoch("d").cast(pl.Float64)
    else:
        texts = column.cast(pl.String)
        found, pattern = as_days(texts)
        if found is None:
            found, pattern = as_numbers(texts)
            if found is None:
                bad = texts.drop_nulls().unique(maintain_order=True).head(3).to_list()
                raise UnusableTable(
                    f"{where} does not parse: it holds {', '.join(map(repr, bad))}; dates such as 2026-01-31 or "
                    "numbers that grow with time would do."
                )
            pattern = "numbers that grow with time"
        days, how = found, f"written {pattern}"
    wrong = column.is_not_null() & days.is_null()
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise UnusableTable(
            f"{where} does not parse in {int(wrong.sum()):,} of {len(column):,} rows, the first is row {row + 1}: "
            f"{column[row]!r}; the others are {how}. Mend or take out those rows."
        )
    if days.is_null().any():
        row = int(days.is_null().arg_true()[0])
        raise UnusableTable(f"{where} is empty in {int(days.is_null().sum()):,} rows, the first is row {row + 1}.")
    notes.readings.append(Reading(request.time, "date", f"when a row was, {how}: the latest fifth is the test"))
    return days.to_numpy()

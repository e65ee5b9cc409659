"""A flat table as training rows: what its target, its time and its columns are read as, and how it is divided."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features.sources.files import read_table
from features.sources.quality.measures import single_auc
from training.errors import UnusableTable
from training.inputs import Input
from training.table.division import SplitKind, test_rows, tickets_of, training_folds
from training.table.outcome import Notes, read_target, read_time
from training.table.readings import ReadColumn, Reading, read_column, without_empty
from training.table.request import TableRequest, require_columns
from training.table.series import made_columns, series_inputs, series_of

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

_SMALL: Final = 500
_COPY: Final = 0.999
"""A column that alone parts the classes better than this is the outcome under another name."""

_SUSPICIOUS: Final = 0.95
_PROTECTED: Final[Mapping[str, re.Pattern[str]]] = {
    "sex": re.compile(r"^(sex|gender|性别)$", re.IGNORECASE),
    "age_band": re.compile(r"^(age|age_years|年龄)$", re.IGNORECASE),
    "region": re.compile(r"^(region|province|state|地区|省份)$", re.IGNORECASE),
}
_AGE_BANDS: Final = (30, 45, 60)
_AGE_NAMES: Final = ("under 30", "30 to 44", "45 to 59", "60 and over")


@dataclass(frozen=True)
class TableFrame:
    """A table as it is trained on.

    Attributes:
        rows: encoded, ``(n, k)``, in the order of the file.
        labels: 0 and 1.
        inputs: the k columns.
        directions: 1, -1 or 0 for each.
        test: which rows are the test.
        folds: of all rows; those of the test do not count.
        order: a number for each row that grows with time, where that is known; else the order is random.
        months: of each row, empty without a time.
        protected: sex, age band and region, as far as columns are named so.
        readings: how each column of the file was read.
        warnings: what somebody should look at.
        split: how the test was chosen.
        event: the value of the target that counts.
        named: the used columns as they stand in the file, and the identifier.
        sha256: of the file.
    """

    rows: Matrix
    labels: Vector
    inputs: tuple[Input, ...]
    directions: tuple[int, ...]
    test: npt.NDArray[np.bool_]
    folds: Integers
    order: Vector
    months: Texts
    protected: Mapping[str, Texts]
    readings: tuple[Reading, ...]
    warnings: tuple[str, ...]
    split: SplitKind
    event: str
    named: pl.DataFrame
    sha256: str


def read_training_table(request: TableRequest) -> TableFrame:
    """Read the file as the request says.

    Raises:
        UnreadableFile: it is no table.
        UnusableTable: a named column is not there, the target cannot be told or learnt, a time does not parse.
    """
    table = read_table(request.path, request.sheet)
    require_columns(table, request)
    notes = Notes()
    table, labels, event = read_target(table, request, notes)
    days = read_time(table, request, notes)
    found = _columns(table, request, labels, notes)
    if not found:
        raise UnusableTable(f"{request.path}: no column beside '{request.target}' can be learnt from.")
    inputs, rows = _inputs(found, request, days, notes)
    order = days if days is not None else np.arange(len(labels), dtype=np.float64) if request.ordered else None
    test, split = test_rows(labels, order, tickets_of(table, request), request, notes)
    if len(labels) < _SMALL:
        notes.warnings.append(f"{len(labels)} rows are few: figures of so small a test move by much with each row.")
    names = list(dict.fromkeys(column for given in inputs for column in given.reads))
    shown = [*([request.identifier] if request.identifier else []), *([request.time] if request.time else []), *names]
    return TableFrame(
        rows=rows,
        labels=labels,
        inputs=inputs,
        directions=_directions([given.name for given in inputs], request),
        test=test,
        folds=training_folds(labels, test, tickets_of(table, request), request),
        order=tickets_of(table, request).astype(np.float64) if order is None else order,
        months=_months(days),
        protected=_protected(table, notes),
        readings=tuple(notes.readings),
        warnings=tuple(dict.fromkeys(notes.warnings)),
        split=split,
        event=event,
        named=table.select(list(dict.fromkeys(shown))),
        sha256=hashlib.sha256(request.path.read_bytes()).hexdigest(),
    )


def _inputs(
    found: Sequence[ReadColumn], request: TableRequest, days: Vector | None, notes: Notes
) -> tuple[tuple[Input, ...], Matrix]:
    """The inputs with their encoded rows ``(n, k)``: the columns as they stand, then what is made of series."""
    inputs = [_input(one, request) for one in found]
    columns = [
        _encoded(one.values, given, days)
        for one, given in zip(found, inputs, strict=True)
        if one.values is not None
    ]  # fmt: skip
    numbers = {given.name: values for given, values in zip(inputs, columns, strict=True) if given.kind == "number"}
    made = series_inputs(numbers)
    rows = np.column_stack(columns)
    if made:
        rows = np.column_stack([rows, made_columns(numbers, made)])
        stems = ", ".join(f"{series.columns[0]} … {series.columns[-1]}" for series in series_of(list(numbers)))
        note = f"{len(made)} features of columns that repeat one measure: statistics and ratios"
        notes.readings.append(Reading(stems, "series", note))
    return (*inputs, *made), rows


def _columns(table: pl.DataFrame, request: TableRequest, labels: Vector, notes: Notes) -> list[ReadColumn]:
    found = []
    for name in table.columns:
        if name in (request.target, request.time):
            continue
        if name == request.identifier:
            notes.readings.append(Reading(name, "left out", "names whom a row is about"))
            continue
        if name in request.drop:
            notes.readings.append(Reading(name, "left out", "as --drop says"))
            continue
        kept = name in request.keep
        least_rows = max(2, min(10, len(table) // 50))
        one = _without_copy(read_column(table[name], keep=kept, least_rows=least_rows), labels, keep=kept, notes=notes)
        notes.readings.append(one.reading)
        if one.reading.warning:
            left_out = " is left out" if one.values is None else ""
            notes.warnings.append(f"'{name}'{left_out}: {one.reading.note}.")
        if one.values is not None:
            found.append(one)
    return found


def _without_copy(one: ReadColumn, labels: Vector, *, keep: bool, notes: Notes) -> ReadColumn:
    """Leave out a column that is the target under another name; warn of one that may be."""
    if one.values is None:
        return one
    name = one.reading.name
    auc = _auc_alone(one.values, labels, categorical=bool(one.categories))
    if auc >= _COPY and not keep:
        why = f"it tells the target all by itself (AUC {auc:.4f}): a copy of it, or what came of it; --keep uses it"
        return ReadColumn(Reading(name, "left out", why, warning=True), None)
    if auc >= _SUSPICIOUS:
        notes.warnings.append(f"'{name}' alone has an AUC of {auc:.4f}: was it known before the outcome?")
    return one


def _auc_alone(values: pl.Series, labels: Vector, *, categorical: bool) -> float:
    missing = single_auc(values.is_null().cast(pl.Float64).to_numpy(), labels)
    if not categorical:
        return max(single_auc(_floats(values), labels), missing)
    column = pl.DataFrame({"value": values, "label": labels})
    rates = column.group_by("value").agg(pl.len(), pl.col("label").sum())
    # Each row is judged by the others of its category: a category of one row says nothing of itself.
    joined = column.join(rates, on="value", suffix="_sum", nulls_equal=True)
    others = (joined["label_sum"] - joined["label"]) / (joined["len"] - 1).clip(1)
    return float(single_auc(others.to_numpy(), joined["label"].to_numpy()))


def _floats(values: pl.Series) -> Vector:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _input(one: ReadColumn, request: TableRequest) -> Input:
    name = one.reading.name
    if one.reading.read_as == "category":
        return Input(name, "category", one.categories)
    if one.reading.read_as == "date":
        return Input(name, "date", before=request.time)
    return Input(name)


def _encoded(read: pl.Series, given: Input, days: Vector | None) -> Vector:
    if given.kind == "category":
        places = {text: float(place) for place, text in enumerate(given.categories)}
        return _floats(read.replace_strict(places, default=None, return_dtype=pl.Float64))
    values = _floats(read)
    return days - values if given.kind == "date" and given.before is not None and days is not None else values


def _directions(names: Sequence[str], request: TableRequest) -> tuple[int, ...]:
    return tuple(1 if name in request.rising else -1 if name in request.falling else 0 for name in names)


def _months(days: Vector | None) -> Texts:
    if days is None or days.min() < -200_000 or days.max() > 200_000 or days.max() < 3_650:
        # Numbers that only grow with time are no dates.
        return np.zeros(0, np.str_)
    return np.datetime_as_string(days.astype("datetime64[D]").astype("datetime64[M]")).astype(np.str_)


def _protected(table: pl.DataFrame, notes: Notes) -> dict[str, Texts]:
    found: dict[str, Texts] = {}
    for attribute, pattern in _PROTECTED.items():
        names = [name for name in table.columns if pattern.match(name)]
        if not names:
            continue
        column = without_empty(table[names[0]])
        if attribute == "age_band":
            years = _floats(column.cast(pl.Float64, strict=False))
            bands = np.array([*_AGE_NAMES, ""])[np.digitize(years, _AGE_BANDS)]
            found[attribute] = np.where(np.isnan(years), "", bands)
        elif column.n_unique() <= 50:
            found[attribute] = column.cast(pl.String).fill_null("").to_numpy().astype(np.str_)
        if attribute in found:
            notes.readings.append(Reading(names[0], "category", f"fairness by {attribute.replace('_', ' ')} too"))
    return found

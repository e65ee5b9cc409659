"""Score a flat table with a registered model: columns are read as for training, and what is lost is told."""

import difflib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from training.errors import UnusableTable
from training.inputs import Input, series_statistic
from training.model import ScoringModel
from training.table.readings import as_days, as_numbers, without_empty

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EncodedTable:
    """Rows ``(n, k)`` as the model reads them, and a sentence for each column that lost values."""

    rows: Matrix
    notes: tuple[str, ...]


def encode_table(table: pl.DataFrame, model: ScoringModel) -> EncodedTable:
    """Read the model's columns from a table; others are left alone.

    Raises:
        UnusableTable: a column is not there.
    """
    absent = [name for name in model.read_columns if name not in table.columns]
    if absent:
        near = difflib.get_close_matches(absent[0], table.columns, n=1)
        hint = f"; the nearest to '{absent[0]}' is '{near[0]}'" if near else ""
        shown = ", ".join(f"'{name}'" for name in absent[:5]) + (
            f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        )
        raise UnusableTable(f"The table lacks {shown}, which the model reads{hint}.")
    reader = _Reader(table)
    columns = [reader.encoded(given) for given in model.inputs]
    return EncodedTable(np.column_stack(columns), tuple(reader.notes))


class _Reader:
    """Reads each column of a table once."""

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table
        self._numbers: dict[str, Vector] = {}
        self.notes: list[str] = []

    def encoded(self, given: Input) -> Vector:
        if given.statistic is not None:
            columns = np.column_stack([self._number(name) for name in given.columns])
            return series_statistic(columns, given.statistic)
        if given.kind == "category":
            return self._category(given)
        if given.kind == "date":
            days = self._days(given.name)
            return days if given.before is None else self._days(given.before) - days
        return self._number(given.name)

    def _number(self, name: str) -> Vector:
        if name not in self._numbers:
            column = without_empty(self._table[name])
            if column.dtype == pl.String:
                read, _ = as_numbers(column)
                # A file of few rows may hold few numbers; each one that is one counts.
                read = column.cast(pl.Float64, strict=False) if read is None else read
            else:
                read = column.cast(pl.Float64, strict=False)
            self._tell(name, column, read, "no numbers")
            self._numbers[name] = _floats(read)
        return self._numbers[name]

    def _days(self, name: str) -> Vector:
        column = without_empty(self._table[name])
        if isinstance(column.dtype, pl.Datetime):
            read: pl.Series | None = column.dt.epoch("us").cast(pl.Float64) / 86_400e6
        elif column.dtype == pl.Date:
            read = column.dt.epoch("d").cast(pl.Float64)
        elif column.dtype == pl.String:
            read = as_days(column)[0]
            read = as_numbers(column)[0] if read is None else read
        else:
            read = column.cast(pl.Float64, strict=False)
        if read is None:
            read = pl.Series(name, [None] * len(column), pl.Float64)
        self._tell(name, column, read, "no dates")
        return _floats(read)

    def _category(self, given: Input) -> Vector:
        column = without_empty(self._table[given.name])
        if column.dtype == pl.Boolean:
            texts = column.replace_strict({True: "true", False: "false"}, return_dtype=pl.String)
        else:
            texts = column.cast(pl.String).str.replace(r"^(-?\d+)\.0+$", "${1}")
        places = {text: float(place) for place, text in enumerate(given.categories)}
        read = texts.replace_strict(places, default=None, return_dtype=pl.Float64)
        self._tell(given.name, texts, read, "categories that training did not know")
        return _floats(read)

    def _tell(self, name: str, column: pl.Series, read: pl.Series, what: str) -> None:
        lost = column.filter(column.is_not_null() & read.is_null())
        if len(lost):
            examples = ", ".join(repr(value) for value in lost.unique(maintain_order=True).head(3))
            self.notes.append(f"'{name}': {len(lost):,} values are {what}, taken for missing: {examples}")


def _floats(values: pl.Series) -> Vector:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()

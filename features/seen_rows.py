"""The raw rows of one table that count at an instant, a batch at a time: by customer, the latest first.

DuckDB reads the table once for all views and says what each metric makes of each row. What windows ask is then a
matter of neighbours: a slot of days, a latest value, a distinct one are runs of rows. A batch stays within a
processor's cache, and memory does not grow with the table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from features.sight import Flags, Integers, Numbers
from features.window_sql import seen_rows_sql, used_parameters
from features.windows import Metric

_BATCH_ROWS: Final = 131_072
_DIGITS: Final = 18
"""Of a decimal of 64 bits."""
_SECOND_US: Final = 1_000_000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Amount:
    """A metric's value in whole units of its last digit, null where the metric does not apply."""

    expression: str
    decimals: int

    @classmethod
    def of(cls, metric: Metric) -> "Amount":
        """Metrics of several views with one expression have one amount."""
        return cls(metric.expression, metric.decimals)

    @property
    def sql(self) -> str:
        """The amount as DuckDB keeps it, which Arrow passes on as whole numbers."""
        return f"({self.expression})::DECIMAL({_DIGITS}, {self.decimals})"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of each row of a table: amounts, and expressions whose values are told apart."""

    columns: tuple[Amount | str, ...]
    history_days: int

    @property
    def sql(self) -> str:
        """The query, beside the tables of ``SIGHT_SQL``."""
        said = (one.sql if isinstance(one, Amount) else f"({one})" for one in self.columns)
        columns = ", ".join(f"{expression} AS column_{place}" for place, expression in enumerate(said))
        return seen_rows_sql(columns, self.history_days)


@dataclass(frozen=True, slots=True)
class SeenRows:
    """Some rows as they were read, and the order to go through them."""

    asked: Asked
    batch: pa.RecordBatch
    """``customer`` and ``age_us``, then what was asked."""
    order: Integers
    """The rows by customer and age in whole seconds, which neither days nor edges of windows cut."""
    moment: Integers
    """The same for rows of one customer and second. This and what follows is in ``order``."""
    customer: Integers
    day: Integers
    """Whole days before the instant."""

    def column(self, one: Amount | str) -> pa.Array:
        """What was asked of the rows, as they were read."""
        return self.batch[f"column_{self.asked.columns.index(one)}"]

    def applies(self, one: Amount | str) -> Flags:
        """To which rows it applies, as they were read."""
        return np.asarray(self.column(one).is_valid())

    def amounts(self, amount: Amount, places: Integers) -> Numbers:
        """The amounts of the rows at ``places`` in ``order``, to which it must apply."""
        column = self.column(amount)
        _, whole_numbers = column.buffers()
        whole = np.frombuffer(whole_numbers, np.int64, len(column), column.offset * 8)
        return whole[self.order[places]].astype(np.float64)

    def within(self, applies: Flags, window_days: int, after_days: int = 0) -> Integers:
        """The places in ``order`` of rows of some days to which something ``applies``, said as they were read."""
        counts = applies[self.order]
        if window_days < self.asked.history_days:
            counts &= self.day < window_days
        if after_days:
            counts &= self.day >= after_days
        return np.flatnonzero(counts)


def read_batches(
    connection: duckdb.DuckDBPyConnection, asked: Asked, rows: str, as_of: datetime
) -> Iterator[pa.RecordBatch]:
    """What was asked of the ``rows`` (Parquet glob), in no order."""
    # Arrow has decimals of 64 bits since 1.5. Those of 128, before, take twice the room and are no numbers of NumPy's.
    connection.execute("SET arrow_output_version = '1.5'")
    found = connection.sql(asked.sql, params=used_parameters(asked.sql, rows, as_of))
    try:
        with found.to_arrow_reader(_BATCH_ROWS) as batches:
            yield from batches
    except OSError as error:
        # Arrow makes an OSError of all that goes wrong under way, also of what has nothing to do with files.
        if str(error).startswith("IO Error"):
            raise
        raise duckdb.InvalidInputException(str(error)) from error


def arranged(asked: Asked, batch: pa.RecordBatch) -> SeenRows:
    """A batch of ``read_batches`` with its order."""
    # One sort of one number a row: the customer above, the seconds below.
    bits = (asked.history_days * _DAY_S).bit_length()
    keys = batch["customer"].to_numpy().astype(np.int64) << bits
    keys |= batch["age_us"].to_numpy() // _SECOND_US
    order = np.argsort(keys)
    moment = keys[order]
    day = (moment & ((1 << bits) - 1)) // _DAY_S
    return SeenRows(asked, batch, order, moment, moment >> bits, day)


def run_starts(ids: Integers) -> Integers:
    """Where each run of equal numbers begins."""
    begins = np.ones(len(ids), np.bool_)
    np.not_equal(ids[1:], ids[:-1], out=begins[1:])
    return np.flatnonzero(begins)

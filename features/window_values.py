"""Feature values of a table's views at an instant: rows put together to windows, customers to parties."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import groupby
from typing import Any, Final, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from features.distinct import Distinct
from features.latest import Latest
from features.seen_rows import Amount, Asked, SeenRows, arranged, read_batches
from features.sight import Numbers, Sight
from features.slots import SQUARE_POWERS, Needed, PartKind, Slots, needed_by, part_of
from features.windows import Windowed, WindowView

Values = dict[Windowed, Numbers]
"""A feature's value of each viewer, NaN for none."""

_WAITING_BATCHES: Final = 4
"""So many batches of a table wait at most: reading must not run away from the work."""


class _Gathering(Protocol):
    """What brings rows of one metric together, batch by batch."""

    def of_rows(self, rows: SeenRows) -> Any:
        """What is to be kept of a batch; asked for of several batches at a time."""

    def add(self, kept: Any, /) -> None:
        """Keep it."""

    def of_viewers(self, sight: Sight) -> Mapping[Any, Numbers]:
        """The values of features, or the parts that they are made of."""


def window_values(
    connection: duckdb.DuckDBPyConnection,
    views: Sequence[WindowView],
    sight: Sight,
    rows: str,
    as_of: datetime,
    pool: ThreadPoolExecutor,
) -> Values:
    """The values of all that ``views`` of one table compute, over its ``rows`` (Parquet glob).

    Batches are worked on in ``pool``, which the tables share.
    """
    asked, gatherings = _gatherings(connection, views, sight)

    def of_batch(batch: pa.RecordBatch) -> list[Any]:
        seen = arranged(asked, batch)
        return [gathering.of_rows(seen) for gathering in gatherings]

    found: dict[Needed | Windowed, Numbers] = {}
    for kept_of_batch in _in_order(pool, of_batch, read_batches(connection, asked, rows, as_of)):
        for gathering, kept in zip(gatherings, kept_of_batch, strict=True):
            gathering.add(kept)
    for of_one in pool.map(lambda gathering: gathering.of_viewers(sight), gatherings):
        found.update(of_one)
    features = dict.fromkeys(feature for view in views for feature in view.computed)
    return {feature: found[feature] if feature in found else _value(feature, found) for feature in features}


def _gatherings(
    connection: duckdb.DuckDBPyConnection, views: Sequence[WindowView], sight: Sight
) -> tuple[Asked, list[_Gathering]]:
    """What is asked of each row, and what it goes to."""
    columns: list[Amount | str] = []
    gatherings: list[_Gathering] = []
    needed = sorted(needed_by(views), key=lambda one: repr(one.amount))
    for amount, of_amount in groupby(needed, key=lambda one: one.amount):
        columns.append(amount)
        gatherings.append(Slots(amount, list(of_amount), sight.customers))
    for view in views:
        for feature in dict.fromkeys(one for one in view.computed if one.aggregate == "latest"):
            gatherings.append(latest := Latest(connection, feature, view.row_id))
            columns += (latest.amount, latest.row_id)
    distinct = dict.fromkeys(one for view in views for one in view.computed if one.aggregate == "distinct")
    for metric in dict.fromkeys(feature.metric for feature in distinct):
        columns.append(metric.expression)
        gatherings.append(Distinct(metric, [feature for feature in distinct if feature.metric == metric], sight))
    history_days = max(feature.window_days for view in views for feature in view.computed)
    return Asked(tuple(dict.fromkeys(columns)), history_days), gatherings


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[pa.RecordBatch], list[Any]], batches: Iterable[pa.RecordBatch]
) -> Iterator[list[Any]]:
    """What comes of each batch."""
    waiting: deque[Future[list[Any]]] = deque()
    for batch in batches:
        waiting.append(pool.submit(work, batch))
        if len(waiting) > _WAITING_BATCHES:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _value(feature: Windowed, parts: Mapping[Needed | Windowed, Numbers]) -> Numbers:
    def part(kind: PartKind) -> Numbers:
        return parts[part_of(feature, kind)]

    unit = 10.0**feature.metric.decimals
    with np.errstate(divide="ignore", invalid="ignore"):
        match feature.aggregate:
            case "sum":
                return part("sum") / unit
            case "count":
                return part("rows")
            case "mean":
                return part("sum") / unit / part("rows")
            case "std":
                # The sample's: (Σx² - (Σx)²/n) / (n - 1).
                total, rows = part("sum"), part("rows")
                squares = sum((part(kind) * 2.0**power for kind, power in SQUARE_POWERS.items()), np.zeros(1))
                spread = np.maximum(squares - total * total / rows, 0) / (rows - 1)
                return np.where(rows > 1, np.sqrt(spread) / unit, np.nan)
            case "days_since":
                return _if_any(part("day"))
            case "min" | "max":
                return _if_any(part(feature.aggregate)) / unit
            case "distinct" | "latest":
                raise AssertionError("distinct and latest values are no sums of slots")


def _if_any(extreme: Numbers) -> Numbers:
    """Where there is no row, an extreme is the neutral value of its join."""
    return np.where(np.isfinite(extreme), extreme, np.nan)

"""Feature values of a table's views at an instant: slots put together to windows, customers to parties."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import duckdb
import numpy as np

from features.sight import Numbers, Sight
from features.slots import JOINS, LIMB, SQUARES, Needed, Part, PartKind, Slots, needed_by, part_of, read_slots
from features.window_sql import DAY_US, distinct_sql, latest_sql, used_parameters
from features.windows import Windowed, WindowView

Values = dict[Windowed, Numbers]
"""A feature's value of each viewer, NaN for none."""

_A_YEAR: Final = 366


def window_values(
    connection: duckdb.DuckDBPyConnection,
    views: Sequence[WindowView],
    sight: Sight,
    rows: str,
    as_of: datetime,
    threads: int,
) -> Values:
    """The values of all that ``views`` of one table compute, over its ``rows`` (Parquet glob)."""
    found: Values = {}
    parts: dict[Needed, Numbers] = {}
    # Few features reach back for years. Most need not carry slots of which they take nothing.
    for _, needed in groupby(needed_by(views), key=lambda one: one.window_days > _A_YEAR):
        together = list(needed)
        slots = read_slots(connection, together, rows, as_of, sight.customers)
        parts |= _parts_of_viewers(slots, sight, together, threads)
    for feature in dict.fromkeys(feature for view in views for feature in view.computed):
        if feature.aggregate not in ("distinct", "latest"):
            found[feature] = _value(feature, parts)
    for sql, features in _asked_whole(views):
        values = connection.execute(sql, used_parameters(sql, rows, as_of)).fetchnumpy()
        for feature in features:
            # A viewer without any row is in no count of distinct values.
            whole = np.full(len(sight.firsts), 0.0 if feature.aggregate == "distinct" else np.nan)
            whole[values["viewer"]] = _without_mask(values[feature.name])
            found[feature] = whole
    return found


def _asked_whole(views: Sequence[WindowView]) -> list[tuple[str, list[Windowed]]]:
    """Queries that DuckDB answers whole, and the features that each is for."""
    asked = []
    for view in views:
        distinct = [feature for feature in view.computed if feature.aggregate == "distinct"]
        for metric in dict.fromkeys(feature.metric for feature in distinct):
            features = [feature for feature in distinct if feature.metric == metric]
            asked.append((distinct_sql(metric, features), features))
        latest = [feature for feature in view.computed if feature.aggregate == "latest"]
        if latest:
            asked.append((latest_sql(latest, view.row_id), latest))
    return asked


def _parts_of_viewers(slots: Slots, sight: Sight, needed: Sequence[Needed], threads: int) -> dict[Needed, Numbers]:
    def of_one(part: Part) -> list[tuple[Needed, Numbers]]:
        by_slot = slots.by_slot(part)
        join, nothing = JOINS[part.kind]
        return [
            (one, sight.over_customers(join, slots.over(by_slot, one), nothing=nothing, elsewhere=one.elsewhere))
            for one in needed
            if one.part == part
        ]

    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(of_one, slots.values)
        return {one: values for several in found for one, values in several}


def _value(feature: Windowed, parts: dict[Needed, Numbers]) -> Numbers:
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
                high, middle, low = (part(kind) for kind in SQUARES)
                squares = high * LIMB**2 + middle * (2 * LIMB) + low
                spread = np.maximum(squares - total * total / rows, 0) / (rows - 1)
                return np.where(rows > 1, np.sqrt(spread) / unit, np.nan)
            case "days_since":
                age = part("age")
                return np.where(np.isfinite(age), age // DAY_US, np.nan)
            case "min" | "max":
                extreme = part(feature.aggregate)
                return np.where(np.isfinite(extreme), extreme / unit, np.nan)
            case "distinct" | "latest":
                raise AssertionError("distinct and latest values are asked for whole")


def _without_mask(values: Any) -> Numbers:
    return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.isMaskedArray(values) else np.asarray(values)

"""The latest value of a metric within a window."""

from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from features.seen_rows import Amount, SeenRows, run_starts
from features.sight import Numbers, Sight
from features.windows import Windowed

_LATEST_SQL: Final = """
SELECT viewer, max({'at': -age_us, 'row': row_id, 'amount': amount}).amount::DOUBLE AS amount
FROM visible
JOIN latest_rows USING (customer)
WHERE $scope = 'seen' OR is_elsewhere = ($scope = 'elsewhere')
GROUP BY viewer
"""


class Latest:
    """The latest rows of each customer to which a feature's metric applies."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, feature: Windowed, row_id: str) -> None:
        self._cursor = connection.cursor()
        self._feature = feature
        self.amount = Amount.of(feature.metric)
        self.row_id = row_id
        self._found: list[pa.Table] = []

    def of_rows(self, rows: SeenRows) -> pa.Table:
        """All rows of the latest second of each customer of a batch."""
        applies = rows.within(rows.applies(self.amount), self._feature.window_days, self._feature.after_days)
        moment = rows.moment[applies]
        firsts = run_starts(rows.customer[applies])
        is_latest = np.repeat(moment[firsts], np.diff(firsts, append=len(moment))) == moment
        latest = pa.array(rows.order[applies[is_latest]])
        columns = (rows.batch["customer"], rows.batch["age_us"], rows.column(self.row_id), rows.column(self.amount))
        names = ("customer", "age_us", "row_id", "amount")
        return pa.table({name: column.take(latest) for name, column in zip(names, columns, strict=True)})

    def add(self, latest: pa.Table) -> None:
        """Keep it."""
        self._found.append(latest)

    def of_viewers(self, sight: Sight) -> dict[Windowed, Numbers]:
        """The value of each viewer's latest row; of rows of one instant, of the one with the greatest name."""
        values = np.full(len(sight.firsts), np.nan)
        if self._found:
            with self._cursor as beside:
                beside.register("latest_rows", pa.concat_tables(self._found))
                found = beside.sql(_LATEST_SQL, params={"scope": self._feature.metric.scope}).to_arrow_table()
            values[found["viewer"].to_numpy()] = found["amount"].to_numpy()
        return {self._feature: values}

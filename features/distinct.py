"""How many different values the rows of a party have: which payees, which lenders, which products."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.seen_rows import SeenRows, run_starts
from features.sight import Integers, Numbers, Sight
from features.slots import slot_of_day
from features.windows import Metric, Windowed


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where the values of a batch occur, for each viewer who sees it."""

    viewer: Integers
    slot: Integers
    code: Integers
    """Where the value stands in ``values``."""
    values: pa.Array


class Distinct:
    """When each value of a metric occurred, for the windows of ``features``."""

    def __init__(self, metric: Metric, features: Sequence[Windowed], sight: Sight) -> None:
        self._metric = metric
        self._features = features
        self._viewing = sight.viewing(metric.scope)
        self._edges = (0, *sorted({feature.window_days for feature in features}))
        self._slot_of_day = slot_of_day(self._edges).astype(np.int8)
        self._found: list[Occurrences] = []

    def of_rows(self, rows: SeenRows) -> Occurrences:
        """What is to be kept of a batch."""
        occurs = rows.within(rows.applies(self._metric.expression), self._edges[-1])
        viewer, row = self._viewing.of_customers(rows.customer[occurs])
        occurs = occurs[row]
        encoded = pc.dictionary_encode(rows.column(self._metric.expression))
        code = np.asarray(encoded.indices.fill_null(0))[rows.order[occurs]]
        return Occurrences(viewer, self._slot_of_day[rows.day[occurs]], code, encoded.dictionary)

    def add(self, occurrences: Occurrences) -> None:
        """Keep it."""
        self._found.append(occurrences)

    def of_viewers(self, sight: Sight) -> dict[Windowed, Numbers]:
        """The count of values in each window, of each viewer.

        What counts is when a value last occurred, at whichever of the customers that the viewer sees.
        """
        viewers, slots = len(sight.firsts), len(self._edges) - 1
        found = self._latest_of_each() if self._found else np.empty(0, np.int64)
        counts = np.bincount(found, minlength=viewers * slots).reshape(viewers, slots).cumsum(axis=1)
        return {one: counts[:, self._edges.index(one.window_days) - 1].astype(np.float64) for one in self._features}

    def _latest_of_each(self) -> Integers:
        """Viewer and slot, as one number, of the latest occurrence of each value that a viewer sees."""
        encoded = pc.dictionary_encode(pa.concat_arrays([one.values for one in self._found]))
        codes = np.asarray(encoded.indices).astype(np.int64)
        ends = np.cumsum([len(one.values) for one in self._found])
        slot_bits, code_bits = len(self._edges).bit_length(), len(encoded.dictionary).bit_length()
        # Viewer, value and slot as one number: after a sort, the first of each value has the slot of its latest row.
        keys = np.concatenate([
            ((one.viewer.astype(np.int64) << code_bits | codes_of_batch[one.code]) << slot_bits) | one.slot
            for one, codes_of_batch in zip(self._found, np.split(codes, ends[:-1]), strict=True)
        ])  # fmt: skip
        keys.sort()
        latest = keys[run_starts(keys >> slot_bits)]
        return (latest >> (slot_bits + code_bits)) * (len(self._edges) - 1) + (latest & ((1 << slot_bits) - 1))

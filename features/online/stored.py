"""What an online store holds of a service, whichever store it is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from features.online.layout import ServiceLayout
from features.online.whole_rows import DOUBLE_BYTES, absent_row, features_digest

SECONDS: Final = 5
"""How long a store may take to answer before it counts as away."""

READ_SECONDS: Final = 1.0
"""The same where a request waits for it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of ``n`` keys.

    ``values (n, k)`` are in the layout's order of features, NaN where there is none; ``as_of`` has for each key when
    its values became true, of several views the oldest, None where there are none.
    """

    values: npt.NDArray[np.float64]
    as_of: list[datetime | None]


def table_name(project: str, view: str) -> str:
    """The table of a view in SQLite and PostgreSQL."""
    return f"{project}_{view}"


class KeyValues(Protocol):
    """Where the values of a service lie. Safe to share between threads."""

    def read(self, keys: Sequence[bytes]) -> Stored:
        """What the store holds of each key; there is at least one."""
        ...


class WholeRows:
    """Puts a service's values together from whole rows, and has those read value by value that lack one."""

    def __init__(self, layout: ServiceLayout) -> None:
        self.absent = [absent_row(view.features) for view in layout.views]
        """For each view what stands for the row of a key that the store does not have."""
        self._bytes = sum(map(len, self.absent))
        ends = np.cumsum([len(row) // DOUBLE_BYTES for row in self.absent])
        # A row begins with its digest, which is as long as a double.
        digests = np.concatenate([[0], ends[:-1]])
        self._digest_places = digests
        self._digests = np.frombuffer(b"".join(features_digest(view.features) for view in layout.views), "<u8")
        self._places = np.delete(np.arange(ends[-1]), digests)

    def stored(
        self,
        keys: Sequence[bytes],
        rows: Sequence[Sequence[bytes | None]],
        as_of: list[datetime | None],
        value_by_value: Callable[[Sequence[bytes]], Stored],
    ) -> Stored:
        """``rows`` are for each key those of its views; None for one that has to be read value by value."""
        whole = [b"" if None in row else b"".join(row) for row in rows]  # type: ignore[arg-type] # None is told before
        nothing = bytes(self._bytes)
        fitting = [row if len(row) == self._bytes else nothing for row in whole]
        cells = np.frombuffer(b"".join(fitting), "<f8").reshape(len(keys), -1)
        known = (cells.view("<u8")[:, self._digest_places] == self._digests).all(axis=1)
        values = cells[:, self._places]
        apart = np.flatnonzero(~known).tolist()
        if apart:
            read = value_by_value([keys[place] for place in apart])
            values[apart] = read.values
            for place, at in zip(apart, read.as_of, strict=True):
                as_of[place] = at
        return Stored(values, as_of)


class RowsInOrder:
    """Puts a service's values together where every row is there and the rows come in one order."""

    def __init__(self, layout: ServiceLayout, views: Sequence[str]) -> None:
        """``views`` is the order of the rows of a key."""
        of_view = {view.name: view.features for view in layout.views}
        self._digests = np.frombuffer(b"".join(features_digest(of_view[name]) for name in views), "<u8")
        lengths = [1 + len(of_view[name]) for name in views]
        starts = np.cumsum([0, *lengths])
        self._bytes = int(starts[-1]) * DOUBLE_BYTES
        self._digest_places = starts[:-1]
        start_of = dict(zip(views, starts.tolist(), strict=False))
        self._places = np.concatenate(
            [start_of[view.name] + 1 + np.arange(len(view.features)) for view in layout.views]
        ).astype(np.int64)

    def values(self, keys: Sequence[bytes | None]) -> npt.NDArray[np.float64] | None:
        """Values ``(n, k)`` of the rows of ``n`` keys, joined for each; None if one is missing or of other features."""
        whole = [rows for rows in keys if rows is not None and len(rows) == self._bytes]
        if len(whole) < len(keys) or not whole:
            return None
        cells = np.frombuffer(b"".join(whole), "<f8").reshape(len(whole), -1)
        if not (cells.view("<u8")[:, self._digest_places] == self._digests).all():
            return None
        return cells[:, self._places]


def oldest(instants: Iterable[datetime | None]) -> datetime | None:
    """The oldest of the instants that there are."""
    return min((at for at in instants if at is not None), default=None)

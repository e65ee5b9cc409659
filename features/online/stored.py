"""What an online store holds of a service, whichever store it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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


Joined = tuple[npt.NDArray[np.float64], list[datetime | None], npt.NDArray[np.bool_]]
"""Values ``(n, k)`` of keys, when the oldest view's became true (n), and which of the ``n`` have a true joined row.

What is told of the others means nothing, or is None.
"""


def table_name(project: str, view: str) -> str:
    """The table of a view in SQLite and PostgreSQL."""
    return f"{project}_{view}"


class KeyValues(Protocol):
    """Where the values of a service lie. Safe to share between threads."""

    def read(self, keys: Sequence[bytes]) -> Stored:
        """What the store holds of each key; there is at least one."""
        ...


class RowCells:
    """Where a service's values stand in whole rows of its views, laid end to end, perhaps with others between."""

    def __init__(self, layout: ServiceLayout, begins: Mapping[str, int], row_bytes: int) -> None:
        """The row of each view begins at a byte of the ``row_bytes`` of all; both are multiples of eight.

        Raises:
            KeyError: a view of the service is not there, or has fewer features there.
        """
        self._row_bytes = row_bytes
        # A row begins with its digest, which is as long as a double.
        firsts = [begins[view.name] // DOUBLE_BYTES for view in layout.views]
        self._digest_places = np.array(firsts)
        self._digests = np.frombuffer(b"".join(features_digest(view.features) for view in layout.views), "<u8")
        values = [1 + first + np.arange(len(view.features)) for first, view in zip(firsts, layout.views, strict=True)]
        self._places = np.concatenate(values)
        if self._places.max() >= row_bytes // DOUBLE_BYTES:
            raise KeyError(layout.views[-1].name)

    def of(self, joined: Sequence[bytes | memoryview]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """All cells ``(n, row_bytes / 8)`` of what is ``joined``, and which of the ``n`` are such rows."""
        nothing = bytes(self._row_bytes)
        fitting = [rows if len(rows) == self._row_bytes else nothing for rows in joined]
        return self.end_to_end(b"".join(fitting))

    def end_to_end(self, rows: bytes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """The same of rows that come as one."""
        cells = np.frombuffer(rows, "<f8").reshape(-1, self._row_bytes // DOUBLE_BYTES)
        return cells, (cells.view("<u8")[:, self._digest_places] == self._digests).all(axis=1)

    def values(self, cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The service's values ``(n, k)`` in the layout's order."""
        # Not cells[:, places]: that would lie in memory column by column.
        return np.take(cells, self._places, axis=1)


def with_the_others(
    found: Stored,
    keys: Sequence[bytes],
    whole: npt.NDArray[np.bool_],
    otherwise: Callable[[Sequence[bytes]], Stored],
) -> Stored:
    """What was ``found`` of keys that are ``whole``, and what ``otherwise`` reads of those that are not."""
    if not whole.all():
        apart = np.flatnonzero(~whole).tolist()
        read = otherwise([keys[place] for place in apart])
        found.values[apart] = read.values
        for place, at in zip(apart, read.as_of, strict=True):
            found.as_of[place] = at
    return found


class WholeRows:
    """Puts a service's values together from the whole rows of its views."""

    def __init__(self, layout: ServiceLayout, views: Sequence[str] | None = None) -> None:
        """``views`` is the order in which a key's rows come; left out, it is the layout's."""
        of_view = {view.name: view.features for view in layout.views}
        order = list(of_view) if views is None else list(views)
        self.absent = [absent_row(of_view[name]) for name in order]
        """For each view what stands for the row of a key that the store does not have."""
        *begins, row_bytes = np.cumsum([0, *map(len, self.absent)]).tolist()
        self._cells = RowCells(layout, dict(zip(order, begins, strict=True)), row_bytes)

    def stored(
        self,
        keys: Sequence[bytes],
        joined: Sequence[bytes | memoryview],
        as_of: list[datetime | None],
        otherwise: Callable[[Sequence[bytes]], Stored],
    ) -> Stored:
        """What is stored of keys whose rows are ``joined``; what ``otherwise`` reads of those that are not whole."""
        cells, whole = self._cells.of(joined)
        return with_the_others(Stored(self._cells.values(cells), as_of), keys, whole, otherwise)


def joined_rows(rows: Sequence[bytes | None]) -> bytes:
    """A key's rows as one; empty where one is missing."""
    return b"" if None in rows else b"".join(rows)  # type: ignore[arg-type] # None is told before


def oldest(instants: Iterable[datetime | None]) -> datetime | None:
    """The oldest of the instants that there are."""
    return min((at for at in instants if at is not None), default=None)

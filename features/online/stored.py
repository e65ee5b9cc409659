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
    """Puts a service's values together from the whole rows of its views."""

    def __init__(self, layout: ServiceLayout, views: Sequence[str] | None = None) -> None:
        """``views`` is the order in which a key's rows come; left out, it is the layout's."""
        of_view = {view.name: view.features for view in layout.views}
        order = list(of_view) if views is None else list(views)
        self.absent = [absent_row(of_view[name]) for name in order]
        """For each view what stands for the row of a key that the store does not have."""
        starts = np.cumsum([0, *(len(row) // DOUBLE_BYTES for row in self.absent)])
        self._nothing = bytes(sum(map(len, self.absent)))
        # A row begins with its digest, which is as long as a double.
        self._digest_places = starts[:-1]
        self._digests = np.frombuffer(b"".join(features_digest(of_view[name]) for name in order), "<u8")
        first_of = dict(zip(order, (starts[:-1] + 1).tolist(), strict=True))
        self._places = np.concatenate([first_of[name] + np.arange(len(of_view[name])) for name in of_view])

    def stored(
        self,
        keys: Sequence[bytes],
        joined: Sequence[bytes],
        as_of: list[datetime | None],
        otherwise: Callable[[Sequence[bytes]], Stored],
    ) -> Stored:
        """What is stored of keys whose rows are ``joined``; what ``otherwise`` reads of those that are not whole."""
        values, apart = self._values(joined)
        if apart:
            read = otherwise([keys[place] for place in apart])
            values[apart] = read.values
            for place, at in zip(apart, read.as_of, strict=True):
                as_of[place] = at
        return Stored(values, as_of)

    def _values(self, joined: Sequence[bytes]) -> tuple[npt.NDArray[np.float64], list[int]]:
        """Values ``(n, k)`` of ``n`` keys whose rows are ``joined``, and the places of those that are no such rows."""
        fitting = [rows if len(rows) == len(self._nothing) else self._nothing for rows in joined]
        cells = np.frombuffer(b"".join(fitting), "<f8").reshape(len(joined), -1)
        known = (cells.view("<u8")[:, self._digest_places] == self._digests).all(axis=1)
        # Not cells[:, places]: that would lie in memory column by column.
        return np.take(cells, self._places, axis=1), np.flatnonzero(~known).tolist()


def joined_rows(rows: Sequence[bytes | None]) -> bytes:
    """A key's rows as one; empty where one is missing."""
    return b"" if None in rows else b"".join(rows)  # type: ignore[arg-type] # None is told before


def oldest(instants: Iterable[datetime | None]) -> datetime | None:
    """The oldest of the instants that there are."""
    return min((at for at in instants if at is not None), default=None)

"""The reader that scoring stands on: features of many parties, as a company sees them now, as one matrix."""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import FeatureStoreUnavailable
from features.online.encoding import entity_keys
from features.online.layout import ServiceLayout, read_layout
from features.online.stored import KeyValues
from features.online.stores import open_store_of
from features.windows import ENTITY_COLUMNS


@dataclass(frozen=True, slots=True)
class OnlineRows:
    """What the online store holds of some parties.

    ``values`` is ``(n, k) float64``, NaN for null; ``found (n,) bool`` tells whether the party is there at all, and
    ``as_of`` (n) since when its values are true, of several views the oldest (None where it is not there).
    """

    values: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    as_of: list[datetime | None]


class OnlineReader:
    """Reads features of parties as a company sees them now. One reader serves many threads."""

    def __init__(self, store: KeyValues, layout: ServiceLayout, features: Sequence[str]) -> None:
        """Read ``features`` of the service, in this order.

        Raises:
            FeatureStoreUnavailable: the service lacks one of the features.
        """
        places = {name: place for place, name in enumerate(layout.features)}
        missing = sorted(set(features) - set(places))
        if missing:
            raise FeatureStoreUnavailable(
                f"The feature service '{layout.service}' lacks {len(missing)} of the features asked for, such as "
                f"'{missing[0]}'; run `jinkong features` and `jinkong train` again."
            )
        self._store = store
        self._places = np.array([places[name] for name in features], dtype=np.intp)
        self._in_order = np.array_equal(self._places, np.arange(len(places)))

    def read(self, parties: Sequence[tuple[str, str]]) -> OnlineRows:
        """Features of ``(legal_entity, party_id)`` pairs, from the online store.

        Raises:
            FeatureStoreUnavailable: the online store does not answer.
        """
        if not parties:
            return OnlineRows(np.empty((0, len(self._places))), np.empty(0, np.bool_), [])
        with store_errors():
            stored = self._store.read(entity_keys(ENTITY_COLUMNS, parties))
        values = stored.values if self._in_order else np.take(stored.values, self._places, axis=1)
        found = np.array([instant is not None for instant in stored.as_of], dtype=np.bool_)
        return OnlineRows(values, found, stored.as_of)


def open_reader(url: str, home: Path, features: Sequence[str], service: str) -> OnlineReader:
    """A reader of the store at ``url`` (empty: SQLite in ``home``, Feast's folder).

    Raises:
        FeatureStoreUnavailable: the service is not defined there, or lacks one of the features.
    """
    layout = read_layout(home, service)
    return OnlineReader(open_store_of(url, home, layout), layout, features)


def _client_errors() -> list[type[Exception]]:
    """What the stores' clients raise; of one that was never imported there is no error."""
    named = (("redis", "RedisError"), ("psycopg", "Error"))
    return [getattr(sys.modules[client], error) for client, error in named if client in sys.modules]


@contextlib.contextmanager
def store_errors(*others: type[Exception]) -> Iterator[None]:
    """What the stores (and ``others``) raise when one of them is away, as one error of ours."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (*others, sqlite3.Error, OSError, *_client_errors())):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FeatureStoreUnavailable(
            f"The feature store does not answer: {reason}. Run `jinkong features` if it was never filled, "
            "and `jinkong doctor` to see what is in the way."
        ) from None

"""What stands in a party's hash in Redis beside the values that Feast reads: instants, whole rows, all rows as one.

All of a party's whole rows also stand in one field, with the instants of their views before them, so that a reader asks
for one long value instead of one a view. Our writers, and Feast as ``features.store`` sets it up, empty the field in
the command that changes a view, and ours have the rows joined again once they are done. A Feast that is set up in
another way does not know of the field, but changes the instant of a view with every row: whoever compares the instants
with those that the views have now sees that.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import mmh3
import numpy as np
import redis

from features.online.layout import ServiceLayout, ViewLayout
from features.online.stored import Joined, RowCells, oldest
from features.online.whole_rows import absent_row

JOINED_FIELD: Final = b"_rows"
_BETWEEN: Final = b"\0"
"""Between instants, which have no such byte: a number of a canonical ``Timestamp`` ends with one that is not zero."""

_KEYS_AT_ONCE: Final = 100

# One script at a time: nobody writes a row between its being read and its being joined.
_JOIN: Final = r"""
for _, key in ipairs(KEYS) do
  local instants, rows, whole = {}, {}, true
  for view = 1, #ARGV / 3 do
    local row, instant = unpack(redis.call('HMGET', key, ARGV[3 * view - 2], ARGV[3 * view - 1]))
    if not instant or instant == '' then
      instants[view], rows[view] = '', ARGV[3 * view]
    else
      local head = string.char(#instant) .. instant
      whole = whole and row and string.sub(row, 1, #head) == head
      if whole then instants[view], rows[view] = instant, string.sub(row, #head + 1) end
    end
  end
  if whole then
    redis.call('HSET', key, '_rows', table.concat(instants, string.char(0)) .. table.concat(rows))
  end
end
"""


def redis_field(view: str, feature: str) -> bytes:
    """The field of a feature in a key's hash."""
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def redis_instant_field(view: str) -> bytes:
    """The field in which a key's hash says when the view's values became true."""
    return f"_ts:{view}".encode()


def redis_row_field(view: str) -> bytes:
    """The field in which a key's hash has the view's values as one."""
    return f"_row:{view}".encode()


def redis_row(instant: bytes, row: bytes) -> bytes:
    """What stands in that field: the instant's message with its length, and the row.

    A writer that knows nothing of whole rows writes another instant, which tells that this one is out of date: Feast
    takes no second row of the same instant.
    """
    return bytes([len(instant)]) + instant + row


def join_redis_rows(client: redis.Redis, views: Sequence[ViewLayout], hashes: Iterable[bytes]) -> None:
    """Join the rows of ``hashes`` that have none which has to be read value by value."""
    names = sorted(set(hashes))
    join = client.register_script(_JOIN)
    views_told: list[bytes] = []
    for view in views:
        views_told += [redis_row_field(view.name), redis_instant_field(view.name), absent_row(view.features)]
    for first in range(0, len(names), _KEYS_AT_ONCE):
        join(keys=names[first : first + _KEYS_AT_ONCE], args=views_told)


class RedisJoinedRows:
    """Takes a service's values out of joined rows."""

    def __init__(self, layout: ServiceLayout, views: Sequence[ViewLayout]) -> None:
        """``views`` are those that are joined, in their order; the service's are among them."""
        self.fields = [JOINED_FIELD, *(redis_instant_field(view.name) for view in views)]
        """What has to be read of a hash."""
        *begins, self._row_bytes = np.cumsum([0, *(len(absent_row(view.features)) for view in views)]).tolist()
        names = [view.name for view in views]
        self._cells = RowCells(layout, dict(zip(names, begins, strict=True)), self._row_bytes)
        self._own = tuple(names.index(view.name) for view in layout.views)

    def compared(self, replies: Sequence[Sequence[bytes | None]]) -> Joined:
        """What hashes hold that have ``replies`` in ``fields``: joined rows count whose instants are the views'."""
        now: Sequence[bytes | None] = ()
        told = b""
        rows: list[bytes | None] = []
        for joined, *instants in replies:
            # Most parties share the instants of the last materialisation.
            if instants != now:
                now, told = instants, _BETWEEN.join([instant or b"" for instant in instants])
            rows.append(joined if joined and self._is_told(joined, told) else None)
        return self.trusted(rows)

    def trusted(self, rows: Sequence[bytes | None]) -> Joined:
        """The same of joined rows alone, which are taken for what their views are now."""
        told, oldest_own = b"", None
        parts: list[bytes] = []
        as_of: list[datetime | None] = []
        for joined in rows:
            if joined and not self._is_told(joined, told):
                told, oldest_own = self._instants(joined)
            if joined and told:
                parts.append(joined[len(told) :])
                as_of.append(oldest_own)
            else:
                parts.append(b"")
                as_of.append(None)
        cells, whole = self._cells.of(parts)
        return self._cells.values(cells), as_of, whole

    def is_behind(self, reply: Sequence[bytes | None]) -> bool:
        """Whether a hash has a joined row, though somebody wrote a view of it since."""
        joined, *instants = reply
        told = self._instants(joined)[0] if joined else b""
        return told not in (b"", _BETWEEN.join([instant or b"" for instant in instants]))

    def _is_told(self, joined: bytes, told: bytes) -> bool:
        return len(joined) == len(told) + self._row_bytes and joined.startswith(told)

    def _instants(self, joined: bytes) -> tuple[bytes, datetime | None]:
        """The instants before a joined row, and the oldest of the service's; empty where other views were joined."""
        told = joined[: -self._row_bytes]
        instants = told.split(_BETWEEN)
        if len(instants) != len(self.fields) - 1:
            return b"", None
        return told, oldest(redis_instant(instants[place]) for place in self._own)


@lru_cache(maxsize=4_096)
def redis_instant(message: bytes | None) -> datetime | None:
    """An instant as it stands in a hash; most parties share that of the last materialisation."""
    if not message:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 - only where Redis is in use

    instant: datetime = Timestamp.FromString(message).ToDatetime(tzinfo=UTC)
    return instant

"""Redis as Feast lays it out: what it holds of a service, for many keys at once."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import mmh3
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.online.address import StoreAddress
from features.online.encoding import doubles
from features.online.layout import ServiceLayout
from features.online.stored import READ_SECONDS, SECONDS, Stored, WholeRows, joined_rows, oldest


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


def redis_client(address: StoreAddress, seconds: float = SECONDS) -> redis.Redis:
    """A client of the Redis at ``address``, which counts as away if it does not answer within so many seconds.

    A connection that was kept may have ended meanwhile: that alone is tried once more.
    """
    return redis.Redis(
        host=address.host,
        port=address.port,
        db=int(address.database),
        password=address.password or None,
        socket_connect_timeout=seconds,
        socket_timeout=seconds,
        retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
    )


class RedisValues:
    """One hash a key, for all views: a field a feature, and one for a view's instant."""

    def __init__(self, address: StoreAddress, layout: ServiceLayout) -> None:
        self._layout = layout
        self._client = redis_client(address, READ_SECONDS)
        self._fields: list[bytes] = [redis_field(view.name, name) for view in layout.views for name in view.features]
        instants = [redis_instant_field(view.name) for view in layout.views]
        self._fields += instants
        self._row_fields = [redis_row_field(view.name) for view in layout.views] + instants
        self._whole = WholeRows(layout)

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        views = len(self._layout.views)
        rows: list[bytes] = []
        as_of: list[datetime | None] = []
        for reply in self._hashes(keys, self._row_fields):
            instants = reply[views:]
            rows.append(joined_rows(list(map(_redis_whole_row, reply, instants, self._whole.absent))))
            as_of.append(oldest(map(_redis_instant, set(instants))))
        return self._whole.stored(keys, rows, as_of, self._value_by_value)

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        replies = self._hashes(keys, self._fields)
        count = len(self._fields) - len(self._layout.views)
        return Stored(
            doubles([value for reply in replies for value in reply[:count]]).reshape(len(keys), count),
            [oldest(map(_redis_instant, reply[count:])) for reply in replies],
        )

    def _hashes(self, keys: Sequence[bytes], fields: list[bytes]) -> list[list[bytes | None]]:
        project = self._layout.project.encode()
        with self._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hmget(key + project, fields)  # type: ignore[arg-type] # bytes are as good as text
            replies: list[list[bytes | None]] = pipe.execute()
        return replies


def _redis_whole_row(row: bytes | None, instant: bytes | None, absent: bytes) -> bytes | None:
    """The row without its head; None where its instant is not the view's, so that somebody else wrote the view."""
    if not instant:
        return absent
    head = 1 + len(instant)
    return row[head:] if row and row[1:head] == instant and row[0] == len(instant) else None


@lru_cache(maxsize=4_096)
def _redis_instant(message: bytes | None) -> datetime | None:
    # Most parties share the instant of the last materialisation.
    if not message:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 - only where Redis is in use

    instant: datetime = Timestamp.FromString(message).ToDatetime(tzinfo=UTC)
    return instant

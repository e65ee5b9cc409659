"""Redis as Feast lays it out: what it holds of a service, for many keys at once."""

import logging
from collections.abc import Sequence
from datetime import datetime
from random import randrange
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.online.address import StoreAddress
from features.online.encoding import doubles
from features.online.layout import ServiceLayout, ViewLayout
from features.online.redis_rows import (
    JOINED_FIELD,
    RedisJoinedRows,
    redis_field,
    redis_instant,
    redis_instant_field,
    redis_row_field,
)
from features.online.stored import (
    READ_SECONDS,
    SECONDS,
    Joined,
    Stored,
    WholeRows,
    joined_rows,
    oldest,
    with_the_others,
)

_LOG: Final = logging.getLogger("jinkong.features")

_FEW_KEYS: Final = 64
"""Up to so many keys, every joined row is compared with what its views are now, which costs the server twice the time.

Of more, it is trusted that writers empty a joined row as they change its views, and one in ``_LOOKED_AT`` is compared.
"""

_LOOKED_AT: Final = 25


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

    def __init__(self, address: StoreAddress, layout: ServiceLayout, joined: Sequence[ViewLayout]) -> None:
        """``joined`` are the views whose rows writers join."""
        self._layout = layout
        self._address = address
        self._foreign_writer = False
        self._client = redis_client(address, READ_SECONDS)
        self._fields: list[bytes] = [redis_field(view.name, name) for view in layout.views for name in view.features]
        instants = [redis_instant_field(view.name) for view in layout.views]
        self._fields += instants
        self._row_fields = [redis_row_field(view.name) for view in layout.views] + instants
        self._whole = WholeRows(layout)
        self._joined = RedisJoinedRows(layout, joined) if {*layout.views} <= {*joined} else None

    def read(self, keys: Sequence[bytes]) -> Stored:
        """See ``KeyValues``."""
        if self._joined is None:
            return self._row_by_row(keys)
        found = None
        if len(keys) > _FEW_KEYS and not self._foreign_writer:
            found = self._trusted(self._joined, keys)
        if found is None:
            found = self._joined.compared(self._hashes(keys, self._joined.fields))
        values, as_of, whole = found
        return with_the_others(Stored(values, as_of), keys, whole, self._row_by_row)

    def _trusted(self, joined: RedisJoinedRows, keys: Sequence[bytes]) -> Joined | None:
        """What joined rows alone hold, unless a writer is met that leaves some behind."""
        # Others each time, so that who always asks for the same in the same order looks at all of them in time.
        some = keys[randrange(_LOOKED_AT) :: _LOOKED_AT]  # noqa: S311 - no secret
        replies = self._replies_to(
            self._commands(b"HMGET", some, joined.fields) + self._commands(b"HGET", keys, [JOINED_FIELD])
        )
        if any(map(joined.is_behind, replies[: len(some)])):
            self._foreign_writer = True
            _LOG.warning(
                "Rows in the online store at %s:%s were written by a Feast that is not set up by "
                "`features.store.open_store`; from now on every row is compared, which takes longer.",
                self._address.host, self._address.port,
            )  # fmt: skip
            return None
        return joined.trusted(replies[len(some) :])

    def _row_by_row(self, keys: Sequence[bytes]) -> Stored:
        """Of keys that have no joined row."""
        views = len(self._layout.views)
        rows: list[bytes] = []
        as_of: list[datetime | None] = []
        for reply in self._hashes(keys, self._row_fields):
            instants = reply[views:]
            rows.append(joined_rows(list(map(_redis_whole_row, reply, instants, self._whole.absent))))
            as_of.append(oldest(map(redis_instant, set(instants))))
        return self._whole.stored(keys, rows, as_of, self._value_by_value)

    def _value_by_value(self, keys: Sequence[bytes]) -> Stored:
        replies = self._hashes(keys, self._fields)
        count = len(self._fields) - len(self._layout.views)
        return Stored(
            doubles([value for reply in replies for value in reply[:count]]).reshape(len(keys), count),
            [oldest(map(redis_instant, reply[count:])) for reply in replies],
        )

    def _hashes(self, keys: Sequence[bytes], fields: Sequence[bytes]) -> list[list[bytes | None]]:
        """What the hashes of ``keys`` have in ``fields``."""
        return self._replies_to(self._commands(b"HMGET", keys, fields))

    def _commands(self, name: bytes, keys: Sequence[bytes], fields: Sequence[bytes]) -> list[bytes]:
        project = self._layout.project.encode()
        # Arrays of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec/). Most of a command is
        # as it is in all the others.
        begin, end = b"*%d\r\n%b" % (len(fields) + 2, _bulk(name)), b"".join(map(_bulk, fields))
        return [begin + _bulk(key + project) + end for key in keys]

    def _replies_to(self, commands: Sequence[bytes]) -> list[Any]:
        pool = self._client.connection_pool
        connection: Any = pool.get_connection()
        try:
            # As a pipeline of the client does it, at a third of its cost.
            replies: list[Any] = connection.retry.call_with_retry(
                lambda: _replies(connection, commands), lambda _error: connection.disconnect()
            )
        except BaseException:
            connection.disconnect()  # replies may be on their way that nobody reads
            raise
        finally:
            pool.release(connection)
        return replies


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _replies(connection: Any, commands: Sequence[bytes]) -> list[Any]:
    connection.send_packed_command([b"".join(commands)])
    return [connection.read_response(disable_decoding=True) for _ in commands]


def _redis_whole_row(row: bytes | None, instant: bytes | None, absent: bytes) -> bytes | None:
    """The row without its head; None where its instant is not the view's, so that somebody else wrote the view."""
    if not instant:
        return absent
    head = 1 + len(instant)
    return row[head:] if row and row[1:head] == instant and row[0] == len(instant) else None

"""POSTs that are carried out once: a retry with the same ``Idempotency-Key`` gets the first answer again.

The answer is kept in the transaction that carries the request out. So whoever lost the answer on its way, or whose
server was killed, asks again with the same key: either nothing had happened, and it happens now, or it is told what
happened then.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Header, Response
from sqlalchemy import Column, Connection, Engine, Index, Integer, String, Table, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from group.database import UtcDateTime, metadata, reading
from serving.problems import ApiError

KEPT: Final = timedelta(days=7)
"""How long an answer can be asked for again."""

carried_out: Final = Table(
    "carried_out",
    metadata,
    Column("caller", String(80), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("reply", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index(None, "at"),
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="chosen by the caller, one for each thing that is to happen: a retry with the same key gets the "
        f"first answer again, for {KEPT.days} days",
        examples=["7c0f4d1e-2f3b-4f60-9d65-0a9f6a1c3b52"],
    ),
]


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be carried out once: who asks, by which key (None for no promise), and what is asked."""

    caller: str
    key: str | None
    request_hash: str

    @classmethod
    def of(cls, caller: str, key: str | None, route: str, asked: str) -> "Once":
        """A request by its route and the text of what it asks for."""
        return cls(caller, key, hashlib.sha256(f"{route}\0{asked}".encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with, JSON text. ``again`` tells that it was carried out before."""

    status: int
    reply: str
    again: bool = False

    @property
    def response(self) -> Response:
        """As it goes over the wire; a header tells a repeated one."""
        headers = {"Idempotency-Replayed": "true"} if self.again else None
        return Response(self.reply, self.status, headers, media_type="application/json")


def answered_before(engine: Engine, once: Once) -> Answer | None:
    """The answer that the key got before.

    Raises:
        ApiError: 422, the key was used for another request.
    """
    if once.key is None:
        return None
    with reading(engine) as connection:
        return _kept(connection, once)


def carry_out(engine: Engine, once: Once, at: datetime, work: Callable[[Connection], Answer]) -> Answer:
    """What ``work`` answers, in a transaction that keeps its answer; or what it answered to the same key before.

    An error of ``work`` undoes all of it, and a retry tries again.

    Raises:
        ApiError: 422, the key was used for another request.
    """
    with engine.begin() as connection:
        if once.key is None:
            return work(connection)
        # The row comes first: a second request of the same key waits for the transaction of the first.
        if not _reserved(connection, once, at):
            kept = _kept(connection, once)
            if kept is not None:
                return kept
        answer = work(connection)
        connection.execute(
            update(carried_out)
            .where(carried_out.c.caller == once.caller, carried_out.c.key == once.key)
            .values(status=answer.status, reply=answer.reply)
        )
        connection.execute(delete(carried_out).where(carried_out.c.at < at - KEPT))
        return answer


def _reserved(connection: Connection, once: Once, at: datetime) -> bool:
    insert_if_absent = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "caller": once.caller,
        "key": once.key,
        "request_hash": once.request_hash,
        "status": 0,
        "reply": "",
        "at": at,
    }
    done = connection.execute(insert_if_absent(carried_out).values(row).on_conflict_do_nothing())
    return done.rowcount == 1


def _kept(connection: Connection, once: Once) -> Answer | None:
    row = connection.execute(
        select(carried_out).where(carried_out.c.caller == once.caller, carried_out.c.key == once.key)
    ).first()
    if row is None:
        return None
    if row.request_hash != once.request_hash:
        detail = (
            f"The key '{once.key}' was used for another request; choose a new one for each thing that is to happen."
        )
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    return Answer(row.status, row.reply, again=True)

"""The audit log: what was seen and decided, appended once, chained by hashes, one chain per legal entity.

Each record's hash covers its own content and the hash before it, so a record that is altered, taken out or moved
breaks the chain at its place. The head of each chain (its length and last hash) is kept beside the log, so that
records cut off at the end are missed too. Database triggers refuse updates and deletions; the chain shows those
that went around the triggers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NewType

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Row,
    String,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from group.database import UtcDateTime, metadata, reading
from group.errors import InputError
from group.prepared import Prepared, driver_instant

GROUP: Final = "group"
"""The chain of events that concern no single company, such as a model's promotion."""

_GENESIS: Final = "0" * 64
_TEXT_LIMITS: Final = {"legal_entity": 32, "actor": 200, "action": 100, "subject": 200}

audit_log: Final = Table(
    "audit_log",
    metadata,
    Column("legal_entity", String(_TEXT_LIMITS["legal_entity"]), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("actor", String(_TEXT_LIMITS["actor"]), nullable=False),
    Column("action", String(_TEXT_LIMITS["action"]), nullable=False),
    Column("subject", String(_TEXT_LIMITS["subject"]), nullable=False),
    Column("payload", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("record_hash", String(64), nullable=False),
    # Decision ids begin with their time: those of all companies are written side by side.
    Index(None, "subject", "legal_entity"),
)

audit_head: Final = Table(
    "audit_head",
    metadata,
    Column("legal_entity", String(_TEXT_LIMITS["legal_entity"]), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("record_hash", String(64), nullable=False),
)


CanonicalJson = NewType("CanonicalJson", str)
"""JSON text whose maker always writes the same content alike, as ``canonical_json`` does."""


class InvalidAuditEvent(InputError):
    """An event that cannot be written down so that it reads back the same."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened: who did what to which subject, for which company, with what they saw.

    ``payload`` is JSON values, or the text of them from a maker that writes faster.
    """

    legal_entity: str
    actor: str
    action: str
    subject: str
    payload: Mapping[str, Any] | CanonicalJson


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An event as it stands in the log. ``payload`` is the canonical JSON text that the hash covers."""

    legal_entity: str
    sequence: int
    recorded_at: datetime
    actor: str
    action: str
    subject: str
    payload: str
    previous_hash: str
    record_hash: str


_INSERT: Final = Prepared(insert(audit_log))
_HEAD: Final = Prepared(
    select(audit_head.c.sequence, audit_head.c.record_hash)
    .where(audit_head.c.legal_entity == bindparam("chain", type_=String()))
    .with_for_update()
)
_MOVE_HEAD: Final = Prepared(
    update(audit_head)
    .values(sequence=bindparam("last"), record_hash=bindparam("digest"))
    .where(audit_head.c.legal_entity == bindparam("chain", type_=String()))
)


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first place of a chain where the log is not what was written."""

    legal_entity: str
    sequence: int
    fault: str

    def __str__(self) -> str:
        return f"The audit log of '{self.legal_entity}' is broken at record {self.sequence}: {self.fault}."


def append(connection: Connection, event: AuditEvent, recorded_at: datetime) -> AuditRecord:
    """Write ``event`` at the end of its company's chain, in the caller's transaction.

    The chain's head is locked until that transaction ends, so concurrent writers to one chain queue.

    Raises:
        InvalidAuditEvent: the payload is not JSON (NaN and infinities are not), or a text is too long.
    """
    return append_all(connection, [event], recorded_at)[0]


def append_all(connection: Connection, events: Sequence[AuditEvent], recorded_at: datetime) -> list[AuditRecord]:
    """Write events in their order, each at the end of its company's chain, in the caller's transaction.

    Raises:
        InvalidAuditEvent: as ``append``; then none is written.
    """
    if not events:
        return []
    payloads = [_canonical(event) for event in events]
    recorded_at = recorded_at.astimezone(UTC)
    at = driver_instant(connection.dialect, recorded_at)
    heads = _locked_heads(connection, sorted({event.legal_entity for event in events}))
    records = []
    for event, payload in zip(events, payloads, strict=True):
        last, previous = heads[event.legal_entity]
        named = (event.legal_entity, last + 1, recorded_at, event.actor, event.action, event.subject, payload, previous)
        record = AuditRecord(*named, _digest(*named))
        heads[event.legal_entity] = record.sequence, record.record_hash
        records.append(record)
    _INSERT.many(
        connection,
        [
            (
                record.legal_entity, record.sequence, at, record.actor, record.action, record.subject, record.payload,
                record.previous_hash, record.record_hash,
            )
            for record in records
        ],
    )  # fmt: skip
    _MOVE_HEAD.many(connection, [(last, digest, chain) for chain, (last, digest) in heads.items()])
    return records


def hold(connection: Connection, legal_entity: str) -> None:
    """Keep everybody else from writing to a company's chain until the caller's transaction ends.

    For decisions that rest on what was decided before: two of them cannot both see the state without the other.
    """
    _locked_heads(connection, [legal_entity])


def canonical_json(payload: Mapping[str, Any]) -> str:
    """The one text of a payload: keys sorted, no spaces, numbers as the shortest text that reads back the same.

    Raises:
        InvalidAuditEvent: it is not JSON (NaN and infinities are not).
    """
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidAuditEvent(f"The payload of an audit event is not JSON: {error}.") from None


def find(connection: Connection, legal_entity: str, subject: str) -> list[AuditRecord]:
    """The records of one company about one subject, oldest first."""
    rows = connection.execute(
        select(audit_log)
        .where(audit_log.c.legal_entity == legal_entity, audit_log.c.subject == subject)
        .order_by(audit_log.c.sequence)
    )
    return [_record(row) for row in rows]


def records_after(connection: Connection, legal_entity: str, sequence: int, most: int) -> list[AuditRecord]:
    """At most so many records of one company's chain, those after a place in it, oldest first."""
    rows = connection.execute(
        select(audit_log)
        .where(audit_log.c.legal_entity == legal_entity, audit_log.c.sequence > sequence)
        .order_by(audit_log.c.sequence)
        .limit(most)
    )
    return [_record(row) for row in rows]


def verify(engine: Engine, legal_entity: str | None = None) -> ChainBreak | None:
    """The first altered, missing or reordered record of one company's chain, or of all; None if all are whole."""
    # One transaction, so that the heads and the records are those of one instant.
    with reading(engine) as connection:
        heads = {
            row.legal_entity: row
            for row in connection.execute(select(audit_head))
            if legal_entity in (None, row.legal_entity)
        }
        logged = connection.execute(select(audit_log.c.legal_entity).distinct()).scalars()
        chains = sorted(heads.keys() | {code for code in logged if legal_entity in (None, code)})
        for chain in chains:
            fault = _first_break(chain, heads.get(chain), _chain(connection, chain))
            if fault is not None:
                return fault
    return None


def _first_break(chain: str, head: Row[Any] | None, records: Iterator[AuditRecord]) -> ChainBreak | None:
    previous, expected = _GENESIS, 1
    for record in records:
        if record.sequence != expected:
            return ChainBreak(chain, expected, "the record is missing")
        if record.previous_hash != previous:
            return ChainBreak(chain, expected, "the record does not follow the one before it")
        if record.record_hash != _recomputed(record):
            return ChainBreak(chain, expected, "the record was altered")
        previous, expected = record.record_hash, expected + 1
    if head is None:
        return ChainBreak(chain, expected, "the head of the chain is missing")
    if head.sequence >= expected:
        return ChainBreak(chain, expected, "the record is missing")
    if head.sequence < expected - 1 or head.record_hash != previous:
        return ChainBreak(chain, expected - 1, "the record is not the one that the head of the chain names")
    return None


def _chain(connection: Connection, legal_entity: str) -> Iterator[AuditRecord]:
    rows = connection.execution_options(yield_per=5_000).execute(
        select(audit_log).where(audit_log.c.legal_entity == legal_entity).order_by(audit_log.c.sequence)
    )
    return (_record(row) for row in rows)


def _locked_heads(connection: Connection, chains: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Length and last hash of each chain, which nobody else can move until the transaction ends.

    All writers ask in one order, so that no two wait for each other.
    """
    return {chain: _head(connection, chain) or _first_head(connection, chain) for chain in sorted(chains)}


def _head(connection: Connection, chain: str) -> tuple[int, str] | None:
    row = _HEAD.first(connection, (chain,))
    return None if row is None else (int(row[0]), str(row[1]))


def _first_head(connection: Connection, chain: str) -> tuple[int, str]:
    # Two first writers may meet here on PostgreSQL: one inserts, the other waits for it and reads its row.
    insert_if_absent = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    first = insert_if_absent(audit_head).values(legal_entity=chain, sequence=0, record_hash=_GENESIS)
    connection.execute(first.on_conflict_do_nothing())
    return _head(connection, chain) or (0, _GENESIS)


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(**row._mapping)


def _canonical(event: AuditEvent) -> str:
    for name, limit in _TEXT_LIMITS.items():
        text = getattr(event, name)
        if not text or len(text) > limit:
            raise InvalidAuditEvent(f"The {name} of an audit event must have 1 to {limit} characters, not {len(text)}.")
    return event.payload if isinstance(event.payload, str) else canonical_json(event.payload)


def _recomputed(record: AuditRecord) -> str:
    return _digest(
        record.legal_entity,
        record.sequence,
        record.recorded_at,
        record.actor,
        record.action,
        record.subject,
        record.payload,
        record.previous_hash,
    )


def _digest(*fields: object) -> str:
    # A JSON list keeps the fields apart: ("ab", "c") and ("a", "bc") must not hash alike.
    texts = [field.isoformat() if isinstance(field, datetime) else field for field in fields]
    try:
        listed = b"[" + b", ".join([orjson.dumps(text) for text in texts]) + b"]"
    except TypeError:  # half a character, which is no UTF-8
        listed = json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.sha256(listed).hexdigest()

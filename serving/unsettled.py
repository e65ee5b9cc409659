"""Scores of batches on their way among the scores by party.

A score by party lies beside the party's other scores, so a thousand scores of a batch touch a thousand places of the
database. A batch does not wait for that: it notes which parties its record is of, and once many have gathered, their
scores are put in place in the order of the places, where many share a page. Until then they are found here.
"""

from collections.abc import Collection, Sequence
from typing import Final

import orjson
from sqlalchemy import Column, Connection, Engine, String, Table, Text, delete, func, insert, select

from group.audit import AuditRecord, find
from group.database import metadata, reading
from group.prepared import Prepared
from serving.decisions import row_id
from serving.party_scores import PartyScore, keep_scores

ENOUGH: Final = 100
"""Parts of batches that are worth being put in place."""

_AT_ONCE: Final = 500
"""Scores that are put in place in one commit, for which other writers have to wait."""

unsettled_scores: Final = Table(
    "unsettled_scores",
    metadata,
    Column("record", String(36), primary_key=True),
    Column("legal_entity", String(32), nullable=False),
    Column("parties", Text, nullable=False),
)
"""A row a part of a batch: its record in the audit log, and the parties that it is of, a line each."""

_INSERT: Final = Prepared(insert(unsettled_scores))


def note(connection: Connection, legal_entity: str, record: str, parties: Sequence[str]) -> None:
    """Note whom a part of a batch is of, in the transaction that puts it on record."""
    _INSERT.many(connection, [(record, legal_entity, "\n".join(["", *parties, ""]))])


def unsettled_of_party(connection: Connection, party_id: str, legal_entities: Collection[str]) -> list[PartyScore]:
    """Scores of a party that these companies asked for, which are not among those by party, or were not just now."""
    place = func.instr if connection.dialect.name == "sqlite" else func.strpos
    parts = connection.execute(
        select(unsettled_scores.c.legal_entity, unsettled_scores.c.record).where(
            unsettled_scores.c.legal_entity.in_(sorted(legal_entities)),
            place(unsettled_scores.c.parties, f"\n{party_id}\n") > 0,
        )
    ).all()
    of_all = (given for part in parts for record in find(connection, *part) for given in _scores_of(record))
    return [given for given in of_all if given.party_id == party_id]


def unsettled_parts(engine: Engine) -> int:
    """Parts of batches whose scores are not in place yet."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(unsettled_scores)).scalar_one())


def settle(engine: Engine, enough: int) -> int:
    """Put the oldest parts' scores in place if there are ``enough`` of them; the number of scores.

    Whoever is cut off, or does it beside somebody else, does no harm: what is in place is not put there twice, and a
    part is noted until all of it is.
    """
    with reading(engine) as connection:
        oldest = select(unsettled_scores.c.legal_entity, unsettled_scores.c.record).order_by(unsettled_scores.c.record)
        parts = connection.execute(oldest.limit(enough)).all()
        if len(parts) < enough:
            return 0
        found = [given for part in parts for record in find(connection, *part) for given in _scores_of(record)]
    # By company, party and decision: the order of the table.
    found.sort()
    for first in range(0, len(found), _AT_ONCE):
        with engine.begin() as connection:
            keep_scores(connection, found[first : first + _AT_ONCE])
    with engine.begin() as connection:
        connection.execute(
            delete(unsettled_scores).where(unsettled_scores.c.record.in_([part.record for part in parts]))
        )
    return len(found)


def _scores_of(record: AuditRecord) -> list[PartyScore]:
    content = orjson.loads(record.payload)
    model = content["model"]
    columns = (content["party_id"], content["probability"], content["score"], content["grade"])
    return [
        PartyScore(
            record.legal_entity, party_id, row_id(record.subject, row), record.recorded_at, model["name"],
            model["version"], *given,
        )
        for row, (party_id, *given) in enumerate(zip(*columns, strict=True))
    ]  # fmt: skip

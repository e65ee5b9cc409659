"""Scores by party, as they were given: how a party fared over time, and the last that is known of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Column, Connection, Float, Integer, String, Table
from sqlalchemy.dialects import postgresql, sqlite

from group.database import UtcDateTime, metadata
from group.prepared import Prepared, driver_instant
from serving.scored import Scored
from training import RegisteredModel

scores: Final = Table(
    "scores",
    metadata,
    Column("legal_entity", String(32), primary_key=True),
    Column("party_id", String(64), primary_key=True),
    Column("decision_id", String(48), primary_key=True),
    Column("scored_at", UtcDateTime, nullable=False),
    Column("model", String(80), nullable=False),
    Column("version", String(32), nullable=False),
    Column("probability", Float, nullable=False),
    Column("score", Integer),
    Column("grade", String(8)),
    sqlite_with_rowid=False,
)
"""One row a score of a party. Decision ids sort by time. What was seen is in the audit log."""


class PartyScore(NamedTuple):
    """A score of a party, by the company that asked."""

    legal_entity: str
    party_id: str
    decision_id: str
    scored_at: datetime
    model: str
    version: str
    probability: float
    score: int | None
    grade: str | None


_INSERTS: Final = {
    "sqlite": Prepared(sqlite.insert(scores).on_conflict_do_nothing()),
    "postgresql": Prepared(postgresql.insert(scores).on_conflict_do_nothing()),
}


def party_score(
    legal_entity: str, party_id: str, decision_id: str, at: datetime, model: RegisteredModel, scored: Scored
) -> PartyScore:
    """A score as it is kept by party."""
    return PartyScore(
        legal_entity, party_id, decision_id, at, model.name, model.version, scored.probability, scored.score,
        scored.grade,
    )  # fmt: skip


def keep_scores(connection: Connection, given: Sequence[PartyScore]) -> None:
    """Keep scores by party, in the caller's transaction. What is kept already stays."""
    if given:
        dialect = connection.dialect
        # Scores that are given together have one instant.
        instants = {instant: driver_instant(dialect, instant) for instant in {one.scored_at for one in given}}
        _INSERTS[dialect.name].many(connection, [(*one[:3], instants[one.scored_at], *one[4:]) for one in given])

"""Scores by party, as they were given: how a party fared over time, and the last that is known of it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, Connection, Float, Integer, Select, String, Table, insert, select

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


_COLUMNS: Final = PartyScore._fields
_INSERT: Final = Prepared(insert(scores))
_EVERY: Final[Select[Any]] = select(*(scores.c[name] for name in _COLUMNS))


def party_score(
    legal_entity: str, party_id: str, decision_id: str, at: datetime, model: RegisteredModel, scored: Scored
) -> PartyScore:
    """A score as it is kept by party."""
    return PartyScore(
        legal_entity, party_id, decision_id, at, model.name, model.version, scored.probability, scored.score,
        scored.grade,
    )  # fmt: skip


def keep_scores(connection: Connection, given: Sequence[PartyScore]) -> None:
    """Keep scores, in the transaction that puts them on record."""
    if given:
        _INSERT.many(
            connection,
            [(*one[:3], driver_instant(connection.dialect, one.scored_at), *one[4:]) for one in given],
        )


def scores_of_party(
    connection: Connection, party_id: str, legal_entities: Collection[str], most: int, before: str | None = None
) -> list[PartyScore]:
    """Scores that these companies asked for, the newest first; those before a decision id if one is given."""
    rows = _EVERY.where(scores.c.party_id == party_id, scores.c.legal_entity.in_(sorted(legal_entities)))
    if before is not None:
        rows = rows.where(scores.c.decision_id < before)
    return [PartyScore(*row) for row in connection.execute(rows.order_by(scores.c.decision_id.desc()).limit(most))]


def last_score(
    connection: Connection, legal_entity: str, party_id: str, model: str, since: datetime
) -> PartyScore | None:
    """The last score of a model that the company got of the party, if it is not older."""
    row = connection.execute(
        _EVERY.where(
            scores.c.legal_entity == legal_entity, scores.c.party_id == party_id, scores.c.model == model,
            scores.c.scored_at >= since,
        ).order_by(scores.c.decision_id.desc()).limit(1)
    ).first()  # fmt: skip
    return None if row is None else PartyScore(*row)

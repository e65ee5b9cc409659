"""How a party fared over time: its scores by party, with those of batches that are not yet among them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from serving.party_scores import PartyScore, scores
from serving.unsettled import unsettled_of_party

_EVERY: Final[Select[Any]] = select(*(scores.c[name] for name in PartyScore._fields))


def scores_of_party(
    connection: Connection, party_id: str, legal_entities: Collection[str], most: int, before: str | None = None
) -> list[PartyScore]:
    """Scores that these companies asked for, the newest first; those before a decision id if one is given."""
    rows = _EVERY.where(scores.c.party_id == party_id, scores.c.legal_entity.in_(sorted(legal_entities)))
    if before is not None:
        rows = rows.where(scores.c.decision_id < before)
    settled = [PartyScore(*row) for row in connection.execute(rows.order_by(scores.c.decision_id.desc()).limit(most))]
    unsettled = [
        given
        for given in unsettled_of_party(connection, party_id, legal_entities)
        if before is None or given.decision_id < before
    ]
    # While a part is being put in place, a score may be both.
    both = {given.decision_id: given for given in (*unsettled, *settled)}
    return sorted(both.values(), key=lambda given: given.decision_id, reverse=True)[:most]


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
    found = [PartyScore(*row)] if row is not None else []
    found += [
        given
        for given in unsettled_of_party(connection, party_id, [legal_entity])
        if given.model == model and given.scored_at >= since
    ]
    return max(found, key=lambda given: given.decision_id, default=None)

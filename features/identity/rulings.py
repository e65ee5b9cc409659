"""What officers are asked and what they ruled: the review queue, and rulings that are never changed, only followed.

A ruling holds until a later one on the same two customers; ``withdrawn`` leaves them to the rules again, which is how
a merge is undone. Every ruling stands in the audit log of both companies.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, Connection, Engine, Float, Integer, Row, String, Table, delete, func, insert, select

from features.errors import UnknownParty
from features.identity.links import CustomerKey, Link
from group.audit import AuditEvent, append
from group.database import UtcDateTime, metadata, reading

_ENTITY: Final = 32
_CUSTOMER: Final = 100
_REASON: Final = 500


class Verdict(StrEnum):
    """What an officer says of two customers."""

    SAME = "same"
    DIFFERENT = "different"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One officer's word on two customers."""

    left: CustomerKey
    right: CustomerKey
    verdict: Verdict
    ruled_by: str
    reason: str
    ruled_at: datetime


def _pair() -> list[Column[Any]]:
    return [
        Column(f"{side}_{name}", String(length), nullable=False)
        for side in ("left", "right")
        for name, length in (("legal_entity", _ENTITY), ("customer_id", _CUSTOMER))
    ]


identity_reviews: Final = Table(
    "identity_reviews",
    metadata,
    Column("review_id", Integer, primary_key=True),
    *_pair(),
    Column("basis", String(20), nullable=False),
    Column("probability", Float),
    Column("noticed_at", UtcDateTime, nullable=False),
)

identity_rulings: Final = Table(
    "identity_rulings",
    metadata,
    Column("ruling_id", Integer, primary_key=True),
    *_pair(),
    Column("verdict", String(20), nullable=False),
    Column("ruled_by", String(200), nullable=False),
    Column("reason", String(_REASON), nullable=False),
    Column("ruled_at", UtcDateTime, nullable=False),
)


def queue_reviews(engine: Engine, uncertain: Iterable[Link], at: datetime) -> int:
    """Make the queue hold just these links, but for those that were ruled on; return its length.

    A link that waited already keeps the instant at which it was first noticed.
    """
    with engine.begin() as connection:
        waiting = {_key(row): row.noticed_at for row in connection.execute(select(identity_reviews))}
        ruled = {_key(row) for row in connection.execute(_last_rulings()) if row.verdict != Verdict.WITHDRAWN}
        rows = []
        for link in uncertain:
            pair = _ordered(link.left, link.right)
            if pair not in ruled:
                noticed = {"basis": link.basis, "probability": link.probability, "noticed_at": waiting.get(pair, at)}
                rows.append(_columns(*pair) | noticed)
        connection.execute(delete(identity_reviews))
        if rows:
            connection.execute(insert(identity_reviews), rows)
    return len(rows)


def open_reviews(engine: Engine, companies: Collection[str], *, limit: int) -> list[Link]:
    """The likeliest links that wait for a ruling, both of whose customers are customers of ``companies``."""
    query = (
        select(identity_reviews)
        .where(
            identity_reviews.c.left_legal_entity.in_(companies), identity_reviews.c.right_legal_entity.in_(companies)
        )
        .order_by(identity_reviews.c.probability.desc().nulls_last(), identity_reviews.c.review_id)
        .limit(limit)
    )
    with reading(engine) as connection:
        return [Link(*_key(row), row.basis, row.probability) for row in connection.execute(query)]


def rule(engine: Engine, ruling: Ruling) -> None:
    """Keep a ruling, in the audit log of both companies too, and take the pair from the queue.

    Raises:
        UnknownParty: both are one customer, or the reason is empty or longer than 500 characters.
    """
    left, right = _ordered(ruling.left, ruling.right)
    if left == right:
        raise UnknownParty(f"{left} is one customer; a ruling is about two.")
    if not 0 < len(ruling.reason.strip()) <= _REASON:
        raise UnknownParty(f"A ruling needs a reason of 1 to {_REASON} characters; give one with --reason.")
    with engine.begin() as connection:
        connection.execute(
            insert(identity_rulings),
            _columns(left, right)
            | {
                "verdict": ruling.verdict.value,
                "ruled_by": ruling.ruled_by,
                "reason": ruling.reason,
                "ruled_at": ruling.ruled_at,
            },
        )
        connection.execute(delete(identity_reviews).where(*_is_pair(identity_reviews, left, right)))
        _audit(connection, ruling, left, right)


def rulings_in_force(engine: Engine) -> list[Ruling]:
    """The last ruling on each two customers, but for those that were withdrawn, in the order of the pairs."""
    with reading(engine) as connection:
        rulings = [
            Ruling(*_key(row), Verdict(row.verdict), row.ruled_by, row.reason, row.ruled_at)
            for row in connection.execute(_last_rulings())
        ]
    return sorted(
        (ruling for ruling in rulings if ruling.verdict is not Verdict.WITHDRAWN),
        key=lambda ruling: (ruling.left, ruling.right),
    )


def _last_rulings() -> Any:
    last = select(func.max(identity_rulings.c.ruling_id)).group_by(
        *(identity_rulings.c[f"{side}_{name}"] for side in ("left", "right") for name in CustomerKey._fields)
    )
    return select(identity_rulings).where(identity_rulings.c.ruling_id.in_(last))


def _audit(connection: Connection, ruling: Ruling, left: CustomerKey, right: CustomerKey) -> None:
    payload = {"left": str(left), "right": str(right), "verdict": ruling.verdict.value, "reason": ruling.reason}
    # Chains are locked in one order, so that two officers never wait for each other.
    for key in sorted({left.legal_entity: left, right.legal_entity: right}.values()):
        event = AuditEvent(key.legal_entity, ruling.ruled_by, "identity_ruling", key.customer_id, payload)
        append(connection, event, ruling.ruled_at)


def _ordered(left: CustomerKey, right: CustomerKey) -> tuple[CustomerKey, CustomerKey]:
    return (left, right) if left <= right else (right, left)


def _columns(left: CustomerKey, right: CustomerKey) -> dict[str, Any]:
    return {
        f"{side}_{name}": value
        for side, key in (("left", left), ("right", right))
        for name, value in key._asdict().items()
    }


def _is_pair(table: Table, left: CustomerKey, right: CustomerKey) -> list[Any]:
    return [table.c[name] == value for name, value in _columns(left, right).items()]


def _key(row: Row[Any]) -> tuple[CustomerKey, CustomerKey]:
    left = CustomerKey(row.left_legal_entity, row.left_customer_id)
    return left, CustomerKey(row.right_legal_entity, row.right_customer_id)

"""Offers of pre-credit as they are kept: one open offer of a product a party, accepted once, within its validity."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    Numeric,
    Select,
    String,
    Table,
    insert,
    select,
    update,
)

from group.audit import AuditEvent, append, hold
from group.database import UtcDateTime, metadata
from workflow.errors import OfferClosed

OFFER_ACCEPTED: Final = "precredit.accepted"

precredit_offers: Final = Table(
    "precredit_offers",
    metadata,
    Column("offer_id", String(36), primary_key=True),
    Column("legal_entity", String(32), nullable=False),
    Column("party_id", String(64), nullable=False),
    Column("product", String(80), nullable=False),
    Column("credit_limit", Numeric(18, 2), nullable=False),
    Column("rate_per_annum", Float, nullable=False),
    Column("term_months", Integer, nullable=False),
    Column("policy", Integer, nullable=False),
    Column("offered_at", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("superseded_at", UtcDateTime),
    Column("accepted_at", UtcDateTime),
    Column("accepted_by", String(200)),
    Column("accepted_amount", Numeric(18, 2)),
    Index(None, "legal_entity", "party_id", "product"),
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a company offers a party. Amounts in CNY; ``policy`` is the version that it was decided by."""

    offer_id: str
    legal_entity: str
    party_id: str
    product: str
    credit_limit: Decimal
    rate_per_annum: float
    term_months: int
    policy: int
    offered_at: datetime
    valid_until: datetime
    superseded_at: datetime | None = None
    accepted_at: datetime | None = None
    accepted_by: str | None = None
    accepted_amount: Decimal | None = None

    def status(self, at: datetime) -> str:
        """``accepted``, ``superseded`` by a later one, ``expired``, or ``open``."""
        if self.accepted_at is not None:
            return "accepted"
        if self.superseded_at is not None:
            return "superseded"
        return "open" if at < self.valid_until else "expired"


_COLUMNS: Final = tuple(Offer.__dataclass_fields__)
_EVERY: Final[Select[Any]] = select(*(precredit_offers.c[name] for name in _COLUMNS))


def make_offer(connection: Connection, offer: Offer) -> None:
    """Keep an offer; an earlier one of the product to the party, if it is open, gives way.

    The caller holds the company's chain of the audit log (``group.audit.hold``) since it asked for accepted offers, so
    that none is accepted in between.
    """
    connection.execute(
        update(precredit_offers)
        .where(*_of(offer.legal_entity, offer.party_id, offer.product))
        .where(precredit_offers.c.accepted_at.is_(None), precredit_offers.c.superseded_at.is_(None))
        .values(superseded_at=offer.offered_at)
    )
    connection.execute(insert(precredit_offers), {name: getattr(offer, name) for name in _COLUMNS})


def accepted_offer(
    connection: Connection, legal_entity: str, party_id: str, product: str, at: datetime
) -> Offer | None:
    """The accepted offer of the product to the party whose validity has not ended."""
    row = connection.execute(
        _EVERY.where(
            *_of(legal_entity, party_id, product),
            precredit_offers.c.accepted_at.is_not(None),
            precredit_offers.c.valid_until > at,
        )
    ).first()
    return None if row is None else Offer(*row)


def find_offer(connection: Connection, offer_id: str, legal_entities: Collection[str]) -> Offer | None:
    """An offer of one of these companies."""
    row = connection.execute(
        _EVERY.where(
            precredit_offers.c.offer_id == offer_id, precredit_offers.c.legal_entity.in_(sorted(legal_entities))
        )
    ).first()
    return None if row is None else Offer(*row)


def offers_of_party(connection: Connection, party_id: str, legal_entities: Collection[str]) -> list[Offer]:
    """All offers of these companies to a party, the newest first."""
    rows = connection.execute(
        _EVERY.where(
            precredit_offers.c.party_id == party_id, precredit_offers.c.legal_entity.in_(sorted(legal_entities))
        ).order_by(precredit_offers.c.offered_at.desc(), precredit_offers.c.offer_id.desc())
    )
    return [Offer(*row) for row in rows]


def accept(connection: Connection, offer: Offer, *, amount: Decimal | None, by: str, at: datetime) -> Offer:
    """Accept an offer, or a part of its limit, with a record in the audit log.

    Raises:
        OfferClosed: it was accepted already, a later one took its place, its validity has ended, or the amount is more
            than its limit.
    """
    taken = offer.credit_limit if amount is None else amount
    if taken > offer.credit_limit:
        raise OfferClosed("amount_above_limit", f"{taken} is above the limit of {offer.credit_limit} CNY.")
    hold(connection, offer.legal_entity)
    done = connection.execute(
        update(precredit_offers)
        .where(
            precredit_offers.c.offer_id == offer.offer_id,
            precredit_offers.c.accepted_at.is_(None),
            precredit_offers.c.superseded_at.is_(None),
            precredit_offers.c.valid_until > at,
        )
        .values(accepted_at=at, accepted_by=by, accepted_amount=taken)
    )
    now = find_offer(connection, offer.offer_id, [offer.legal_entity]) or offer
    if not done.rowcount:
        raise _closed(now, at)
    payload = {"party_id": now.party_id, "product": now.product, "amount": str(taken)}
    append(connection, AuditEvent(now.legal_entity, by, OFFER_ACCEPTED, now.offer_id, payload), at)
    return now


def _of(legal_entity: str, party_id: str, product: str) -> tuple[ColumnElement[bool], ...]:
    table = precredit_offers.c
    return table.legal_entity == legal_entity, table.party_id == party_id, table.product == product


def _closed(offer: Offer, at: datetime) -> OfferClosed:
    match offer.status(at):
        case "accepted":
            return OfferClosed(
                "offer_accepted", f"The offer was accepted at {offer.accepted_at:%Y-%m-%d %H:%M:%S} UTC."
            )
        case "superseded":
            return OfferClosed("offer_superseded", "A later offer of the product took its place; accept that one.")
        case _:
            return OfferClosed("offer_expired", f"The offer was valid until {offer.valid_until:%Y-%m-%d %H:%M:%S} UTC.")

"""Who asked not to be contacted: every request is kept and on record, the last of a customer counts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Boolean, Column, Connection, Integer, String, Table, insert, select

from group.audit import AuditEvent, append
from group.database import UtcDateTime, metadata

DO_NOT_CONTACT: Final = "whitelist.do_not_contact"

do_not_contact: Final = Table(
    "do_not_contact",
    metadata,
    Column("entry_id", Integer, primary_key=True),
    Column("legal_entity", String(32), nullable=False),
    Column("customer_id", String(200), nullable=False),
    Column("stop", Boolean, nullable=False),
    Column("asked_by", String(200), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


def ask_not_to_contact(
    connection: Connection,
    customers: Sequence[tuple[str, str]],
    *,
    stop: bool,
    by: str,
    reason: str,
    at: datetime,
) -> None:
    """Put customers (company, number there) on the do-not-contact list, or take them off again; each on record."""
    if not customers:
        return
    connection.execute(
        insert(do_not_contact),
        [
            {"legal_entity": entity, "customer_id": customer, "stop": stop, "asked_by": by, "reason": reason, "at": at}
            for entity, customer in customers
        ],
    )
    for entity, customer in customers:
        payload = {"stop": stop, "reason": reason}
        append(connection, AuditEvent(entity, by, DO_NOT_CONTACT, customer, payload), at)


def not_to_contact(connection: Connection, until: datetime) -> list[tuple[str, str]]:
    """The customers (company, number there) who asked by then not to be contacted, and not to be again."""
    rows = connection.execute(
        select(do_not_contact).where(do_not_contact.c.at <= until).order_by(do_not_contact.c.entry_id)
    )
    last = {(row.legal_entity, row.customer_id): bool(row.stop) for row in rows}
    return sorted(key for key, stop in last.items() if stop)

"""Whitelists as they are kept: every version with its plan and models, and its offers.

A version is a draft until somebody releases it; only released ones are served, exported for contacts, and counted by
frequency caps. Offers are never changed.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    Row,
    Select,
    String,
    Table,
    Text,
    case,
    func,
    insert,
    select,
    update,
)

from group.audit import GROUP, AuditEvent, append
from group.database import UtcDateTime, metadata
from group.errors import InputError
from training.errors import TrainingError

_NAME: Final = 80
_PERSON: Final = 200
_REASON: Final = 500
_BATCH: Final = 5_000

WHITELIST_MADE: Final = "whitelist.made"
WHITELIST_RELEASED: Final = "whitelist.released"

whitelists: Final = Table(
    "whitelists",
    metadata,
    Column("name", String(_NAME), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("as_of", UtcDateTime, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("made_by", String(_PERSON), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("offers", Integer, nullable=False),
    Column("held_out", Integer, nullable=False),
    Column("plan", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("released_at", UtcDateTime),
    Column("released_by", String(_PERSON)),
)

whitelist_offers: Final = Table(
    "whitelist_offers",
    metadata,
    Column("name", String(_NAME), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("legal_entity", String(32), primary_key=True),
    Column("party_id", String(64), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("customer_id", String(200), nullable=False),
    Column("source", String(32), nullable=False),
    Column("product", String(_NAME), nullable=False),
    Column("credit_limit", Numeric(18, 2), nullable=False),
    Column("rate_per_annum", Float, nullable=False),
    Column("term_months", Integer, nullable=False),
    Column("channel", String(_NAME), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date, nullable=False),
    Column("held_out", Boolean, nullable=False),
    Column("expected_profit", Float, nullable=False),
    Column("uplift", Float, nullable=False),
    Column("response", Float, nullable=False),
    Column("probability_of_default", Float, nullable=False),
    Column("grade", String(8), nullable=False),
    Column("customer_value", Float, nullable=False),
    Column("reason_zh", String(_REASON), nullable=False),
    Column("reason_en", String(_REASON), nullable=False),
    ForeignKeyConstraint(["name", "version"], ["whitelists.name", "whitelists.version"]),
    Index("ix_whitelist_offers_rank", "name", "version", "rank"),
)

OFFER_COLUMNS: Final = (
    "rank", "legal_entity", "party_id", "customer_id", "source", "product", "credit_limit", "rate_per_annum",
    "term_months", "channel", "valid_from", "valid_until", "held_out", "expected_profit", "uplift", "response",
    "probability_of_default", "grade", "customer_value", "reason_zh", "reason_en",
)  # fmt: skip
"""An offer, in the order in which it is exported."""


class NoWhitelist(TrainingError, InputError):
    """There is no such list, or none that was released."""


class ReleaseRefused(TrainingError, InputError):
    """A version that is released already, or that nobody stands up for."""


@dataclass(frozen=True, slots=True)
class KeptWhitelist:
    """A version as it is kept: ``plan`` is the text it was made by, ``manifest`` what else it was made from."""

    name: str
    version: int
    as_of: datetime
    made_at: datetime
    made_by: str
    sha256: str
    offers: int
    held_out: int
    plan: str
    manifest: Mapping[str, Any]
    released_at: datetime | None
    released_by: str | None


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer of a list; names as in ``OFFER_COLUMNS``."""

    rank: int
    legal_entity: str
    party_id: str
    customer_id: str
    source: str
    product: str
    credit_limit: Decimal
    rate_per_annum: float
    term_months: int
    channel: str
    valid_from: date
    valid_until: date
    held_out: bool
    expected_profit: float
    uplift: float
    response: float
    probability_of_default: float
    grade: str
    customer_value: float
    reason_zh: str
    reason_en: str


def next_version(connection: Connection, name: str) -> int:
    """The number that the next version of a list gets."""
    last = connection.execute(select(func.max(whitelists.c.version)).where(whitelists.c.name == name)).scalar()
    return int(last or 0) + 1


def keep_whitelist(connection: Connection, kept: KeptWhitelist, offers: Iterable[Mapping[str, Any]]) -> None:
    """Write a version and its offers, with a record in the audit log."""
    values = {name: getattr(kept, name) for name in KeptWhitelist.__dataclass_fields__}
    manifest = json.dumps(dict(kept.manifest), ensure_ascii=False, sort_keys=True)
    connection.execute(insert(whitelists), values | {"manifest": manifest})
    key = {"name": kept.name, "version": kept.version}
    rows = [key | {name: offer[name] for name in OFFER_COLUMNS} for offer in offers]
    for begin in range(0, len(rows), _BATCH):
        connection.execute(insert(whitelist_offers), rows[begin : begin + _BATCH])
    payload = {
        "sha256": kept.sha256,
        "offers": kept.offers,
        "held_out": kept.held_out,
        "models": kept.manifest["models"],
    }
    subject = f"{kept.name}/{kept.version}"
    append(connection, AuditEvent(GROUP, kept.made_by, WHITELIST_MADE, subject, payload), kept.made_at)


def release(
    connection: Connection, name: str, version: int | None, *, by: str, reason: str, at: datetime
) -> KeptWhitelist:
    """Let a version be used, on record with who let it and why; the latest if no version is given.

    Raises:
        NoWhitelist: there is no such version.
        ReleaseRefused: it is released already, is older than a released one, or no name or reason is given.
    """
    if not by.strip() or not reason.strip():
        raise ReleaseRefused(f"'{name}' is released by a person, for a reason: give both.")
    found = whitelist(connection, name, version)
    if found.released_at is not None:
        raise ReleaseRefused(f"Version {found.version} of '{name}' was released by {found.released_by} already.")
    newest = released(connection, name)
    if newest is not None and newest.version > found.version:
        raise ReleaseRefused(
            f"Version {newest.version} of '{name}' is released already, and newer than version {found.version}."
        )
    connection.execute(
        update(whitelists)
        .where(whitelists.c.name == name, whitelists.c.version == found.version)
        .values(released_at=at, released_by=by.strip())
    )
    payload = {"sha256": found.sha256, "reason": reason.strip(), "made_by": found.made_by}
    append(connection, AuditEvent(GROUP, by.strip(), WHITELIST_RELEASED, f"{name}/{found.version}", payload), at)
    return whitelist(connection, name, found.version)


def whitelist(connection: Connection, name: str, version: int | None = None) -> KeptWhitelist:
    """A version of a list; the latest if none is given.

    Raises:
        NoWhitelist: there is none.
    """
    rows = select(whitelists).where(whitelists.c.name == name)
    if version is not None:
        rows = rows.where(whitelists.c.version == version)
    row = connection.execute(rows.order_by(whitelists.c.version.desc()).limit(1)).first()
    if row is None:
        which = f"version {version} of " if version is not None else ""
        raise NoWhitelist(f"There is no {which}whitelist '{name}'; `jinkong whitelist list` shows what there is.")
    return _kept(row)


def released(connection: Connection, name: str) -> KeptWhitelist | None:
    """The newest released version of a list; None if there is none."""
    rows = select(whitelists).where(whitelists.c.name == name, whitelists.c.released_at.is_not(None))
    row = connection.execute(rows.order_by(whitelists.c.version.desc()).limit(1)).first()
    return None if row is None else _kept(row)


def released_version(connection: Connection, name: str, version: int | None) -> KeptWhitelist | None:
    """A version of a list if it is released; the newest released one if none is given."""
    if version is None:
        return released(connection, name)
    row = connection.execute(
        select(whitelists).where(
            whitelists.c.name == name, whitelists.c.version == version, whitelists.c.released_at.is_not(None)
        )
    ).first()
    return None if row is None else _kept(row)


def all_whitelists(connection: Connection, name: str | None = None) -> list[KeptWhitelist]:
    """Every version of one list, or of all, the newest first."""
    rows = select(whitelists).order_by(whitelists.c.made_at.desc(), whitelists.c.name, whitelists.c.version.desc())
    if name is not None:
        rows = rows.where(whitelists.c.name == name)
    return [_kept(row) for row in connection.execute(rows)]


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """Which offers of a version: of one company, some parties, one product, channel or grade, or of all.

    Those held out are left out unless asked for.
    """

    legal_entity: str | None = None
    parties: Collection[str] | None = None
    product: str | None = None
    channel: str | None = None
    grade: str | None = None
    least_uplift: float | None = None
    with_held_out: bool = False


def offers_of(
    connection: Connection, kept: KeptWhitelist, wanted: OfferFilter, *, after_rank: int = 0, most: int | None = None
) -> Iterator[Offer]:
    """Offers of a version by rank, from the one after ``after_rank``."""
    table = whitelist_offers.c
    rows: Select[Any] = select(*(table[name] for name in OFFER_COLUMNS)).where(
        table.name == kept.name, table.version == kept.version, table.rank > after_rank
    )
    if wanted.parties is not None:
        rows = rows.where(table.party_id.in_(sorted(wanted.parties)))
    for name in ("legal_entity", "product", "channel", "grade"):
        value = getattr(wanted, name)
        if value is not None:
            rows = rows.where(table[name] == value)
    if wanted.least_uplift is not None:
        rows = rows.where(table.uplift >= wanted.least_uplift)
    if not wanted.with_held_out:
        rows = rows.where(table.held_out.is_(False))
    rows = rows.order_by(table.rank)
    if most is not None:
        rows = rows.limit(most)
    for row in connection.execute(rows):
        yield Offer(*row)


@dataclass(frozen=True, slots=True)
class ReleasedVersion:
    """A released version of a list, and what of it is of the companies that ask: offers to make, and those held out."""

    name: str
    version: int
    sha256: str
    as_of: datetime
    made_at: datetime
    made_by: str
    released_at: datetime
    released_by: str
    offers: int
    held_out: int


def released_versions(
    connection: Connection,
    legal_entities: Collection[str],
    *,
    name: str | None = None,
    after_name: str = "",
    most: int | None = None,
) -> list[ReleasedVersion]:
    """Released versions that have offers of these companies.

    All of the list called ``name``, the newest first; without a name, the newest of each list whose name comes after
    ``after_name``, by name.
    """
    told = [
        whitelists.c[column]
        for column in ("name", "version", "sha256", "as_of", "made_at", "made_by", "released_at", "released_by")
    ]
    held_out = func.sum(case((whitelist_offers.c.held_out.is_(True), 1), else_=0))
    of_version = (whitelist_offers.c.name == whitelists.c.name) & (whitelist_offers.c.version == whitelists.c.version)
    rows: Select[Any] = (
        select(*told, func.count() - held_out, held_out)
        .join(whitelist_offers, of_version)
        .where(whitelists.c.released_at.is_not(None), whitelist_offers.c.legal_entity.in_(sorted(legal_entities)))
        .group_by(*told)
    )
    if name is not None:
        rows = rows.where(whitelists.c.name == name).order_by(whitelists.c.version.desc())
    else:
        newest = (
            select(whitelists.c.name, func.max(whitelists.c.version).label("version"))
            .where(whitelists.c.released_at.is_not(None), whitelists.c.name > after_name)
            .group_by(whitelists.c.name)
            .subquery()
        )
        is_newest = (whitelists.c.name == newest.c.name) & (whitelists.c.version == newest.c.version)
        rows = rows.join(newest, is_newest).order_by(whitelists.c.name)
    if most is not None:
        rows = rows.limit(most)
    return [ReleasedVersion(*row) for row in connection.execute(rows)]


def contacts_by_lists(connection: Connection, since: datetime, until: datetime) -> list[tuple[str, str, datetime]]:
    """Who was to be contacted by lists that were released in between: company, party, when the list was released."""
    rows = (
        select(whitelist_offers.c.legal_entity, whitelist_offers.c.party_id, whitelists.c.released_at)
        .join(
            whitelists,
            (whitelists.c.name == whitelist_offers.c.name) & (whitelists.c.version == whitelist_offers.c.version),
        )
        .where(
            whitelists.c.released_at > since,
            whitelists.c.released_at <= until,
            whitelist_offers.c.held_out.is_(False),
        )
        .order_by(whitelists.c.released_at, whitelist_offers.c.legal_entity, whitelist_offers.c.party_id)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(rows)]


def _kept(row: Row[Any]) -> KeptWhitelist:
    values = {name: getattr(row, name) for name in KeptWhitelist.__dataclass_fields__}
    return KeptWhitelist(**(values | {"manifest": json.loads(row.manifest)}))

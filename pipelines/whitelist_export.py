"""A whitelist's offers out of the house, and do-not-contact requests into it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from features.exports import write_export_manifest
from features.sources.files import read_table
from group.database import migrated, reading
from group.entities import legal_entity
from group.errors import InputError
from group.settings import Settings
from training.whitelist.do_not_contact import ask_not_to_contact
from training.whitelist.exporting import write_offers
from training.whitelist.kept import (
    NoWhitelist,
    OfferFilter,
    offers_of,
    released,
    whitelist,
)


def export_offers(
    settings: Settings,
    name: str,
    version: int | None,
    folder: Path,
    written_as: str,
    *,
    company: str | None,
    with_held_out: bool,
) -> tuple[Path, int]:
    """Write a version's offers below ``folder``; return the file and how many they are.

    Raises:
        NoWhitelist: there is no such version, or none was released.
        UnknownLegalEntity: no company has that code.
        UnsupportedSource: an unknown format.
    """
    code = legal_entity(company).code if company else None
    with migrated(settings.state_url) as engine, reading(engine) as connection:
        kept = whitelist(connection, name, version) if version else released(connection, name)
        if kept is None:
            whitelist(connection, name)
            raise NoWhitelist(
                f"No version of '{name}' is released yet: `jinkong whitelist release {name}`, or name a draft by "
                "--version."
            )
        offers = offers_of(connection, kept, OfferFilter(legal_entity=code, with_held_out=with_held_out))
        written = write_offers(kept, offers, folder, written_as, code)
    write_export_manifest([written], folder, f"whitelist {kept.name} version {kept.version}", datetime.now(UTC))
    return folder / written.file, written.rows


def keep_off(settings: Settings, named: Sequence[str], file: Path | None, *, by: str, reason: str, stop: bool) -> int:
    """Record who asked not to be contacted (or may be again); return how many customers.

    Raises:
        InputError: nobody is named, or not as COMPANY/CUSTOMER, or the file lacks a column.
        UnreadableFile: the file is no table.
        UnknownLegalEntity: no company has that code.
    """
    if not by.strip() or not reason.strip():
        raise InputError("A request not to be contacted is taken by a person, for a reason: give both.")
    customers = [_named(text) for text in named] + (_of_file(file) if file else [])
    if not customers:
        raise InputError("Name customers as COMPANY/CUSTOMER, or give a --file of them.")
    for company in {company for company, _ in customers}:
        legal_entity(company)
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        ask_not_to_contact(connection, customers, stop=stop, by=by.strip(), reason=reason.strip(), at=datetime.now(UTC))
    return len(customers)


def _named(text: str) -> tuple[str, str]:
    company, _, customer = text.partition("/")
    if not company or not customer:
        raise InputError(f"'{text}' names no customer; write COMPANY/CUSTOMER, such as consumer/CO00000001.")
    return company, customer


def _of_file(path: Path) -> list[tuple[str, str]]:
    table = read_table(path)
    absent = [name for name in ("legal_entity", "customer_id") if name not in table.columns]
    if absent:
        raise InputError(f"{path} lacks the column '{absent[0]}'; it has {', '.join(table.columns[:10])}.")
    rows = table.select(pl.col("legal_entity").cast(pl.String), pl.col("customer_id").cast(pl.String))
    wrong = rows.with_row_index("row", offset=2).filter(pl.any_horizontal(pl.all().is_null()))
    if len(wrong):
        raise InputError(f"{path}: row {wrong['row'][0]} names no customer; fill in both columns.")
    return [(str(company), str(customer)) for company, customer in rows.unique(maintain_order=True).iter_rows()]

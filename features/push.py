"""Single events: kept for good, and at once in the features of the parties that they are about.

An event goes through its table's contract like any delivered row, and is learnt when it is pushed. Then the views that
read its table are computed anew for its parties alone, by the same queries on their rows alone: what comes out is what
a run over the whole group would find at that instant. The rows go to the offline files and online.
"""

import contextlib
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from features.catalogue import VIEWS
from features.compute import compute_views, feature_file
from features.connection import bounded_connection
from features.contracts.corrections import PUSHED_SUFFIX, SUPERSEDED_AT, superseded_parts
from features.contracts.ledger import read_ledger, write_ledger
from features.contracts.tables import CONTRACTS, INSTANT, TableContract
from features.contracts.validation import validate
from features.errors import ContractBroken, UnknownSource
from features.online.encoding import entity_keys
from features.online.layout import ViewLayout
from features.online.reader import store_errors
from features.online.writing import ViewRows, open_writer
from features.place import PROJECT, canonical_folder, feast_home, features_folder
from features.windows import ENTITY_COLUMNS
from group.files import written_whole
from group.settings import Settings

PUSHABLE: Final = tuple(name for name, contract in CONTRACTS.items() if contract.refers_to_customers)
"""Tables that take single events. Customers are delivered: who is who is decided over all of them."""

MOST_EVENTS: Final = 10_000
_TOLD: Final = 3
_UNFINISHED: Final = ".unfinished"
"""Ends the name of the mark that stands beside a pushed part until the rows that it corrects are marked."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push: when it was learnt, its rows, the parties whose features moved, and in which views."""

    at: datetime
    rows: int
    parties: tuple[str, ...]
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where pushed events go: canonical tables, feature files, and the online store with Feast's project and home."""

    canonical: Path
    features: Path
    online_store_url: str
    feast_home: Path
    project: str


def push_target(settings: Settings) -> PushTarget:
    """Where events go by the settings."""
    return PushTarget(
        canonical_folder(settings.home),
        features_folder(settings.home),
        settings.online_store_url,
        feast_home(settings),
        PROJECT,
    )


def push(target: PushTarget, table: str, events: Sequence[Mapping[str, Any]], at: datetime | None = None) -> Pushed:
    """Take events of one table: all of them, or none. One process at a time: the command locks the home for it.

    Args:
        target: where they go.
        table: the canonical table.
        events: one mapping an event, by the table's columns; ``created_timestamp`` is when it is pushed and not given.
        at: the instant of the push; the clock's if left out.

    Raises:
        UnknownSource: the table takes no single events, or was never loaded.
        ContractBroken: an event breaks the table's contract; nothing was kept.
        FeatureStoreUnavailable: the online store does not answer. The events are kept, offline they are in the
            features, and pushing another event of a party or ``jinkong features`` brings them online.
    """
    at = at or datetime.now(UTC)
    contract = _pushable(target.canonical, table)
    complete_pushes(target.canonical)
    rows = _checked(target.canonical, contract, events, at)
    part = target.canonical / table / f"{at:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}{PUSHED_SUFFIX}"
    # From here until the rows that it corrects are marked, a push that is killed has to be completed.
    mark = part.with_name(part.name + _UNFINISHED)
    mark.touch()
    with written_whole(part) as file:
        rows.with_columns(pl.lit(None, INSTANT).alias(SUPERSEDED_AT)).write_parquet(file, compression="snappy")
    with tempfile.TemporaryDirectory(prefix="jinkong-push-") as folder:
        alone = Path(folder)
        parties = _only_their_rows(target.canonical, contract, rows, alone)
        _correct(target.canonical, contract, alone, part)
        mark.unlink()
        views = [view.declared for view in VIEWS if view.table == table]
        compute_views(views, alone, alone / "features", [at], threads=1)
        computed = {view.name: pl.read_parquet(feature_file(alone / "features", view.name, at)) for view in views}
    for view, found in computed.items():
        with written_whole(target.features / view / f"pushed_{part.name.removesuffix(PUSHED_SUFFIX)}.parquet") as file:
            found.write_parquet(file, compression="snappy")
    _bring_online(target, computed)
    return Pushed(at, len(rows), tuple(parties), tuple(computed))


def complete_pushes(canonical: Path) -> None:
    """Mark the rows that an event corrects, where a push was killed before it had come to that."""
    for mark in sorted(canonical.glob(f"*/*{_UNFINISHED}")):
        contract = CONTRACTS[mark.parent.name]
        if mark.with_name(mark.name.removesuffix(_UNFINISHED)).is_file():
            parts = {path.name: path for path in sorted(mark.parent.glob("*.parquet"))}
            _supersede(contract, parts)
            _note_marks(canonical, contract, parts)
        mark.unlink()


def _pushable(canonical: Path, table: str) -> TableContract:
    if table not in PUSHABLE:
        raise UnknownSource(f"'{table}' takes no single events; these tables do: {', '.join(PUSHABLE)}.")
    if not (canonical / "parties").is_dir():
        raise UnknownSource(f"{canonical} holds no parties yet; run `jinkong data` first.")
    return CONTRACTS[table]


def _checked(
    canonical: Path, contract: TableContract, events: Sequence[Mapping[str, Any]], at: datetime
) -> pl.DataFrame:
    if not 0 < len(events) <= MOST_EVENTS:
        raise ContractBroken(f"{len(events)} events were given; one push takes 1 to {MOST_EVENTS}.")
    unknown = sorted({str(name) for event in events for name in event} - set(contract.columns))
    if unknown:
        raise ContractBroken(f"Table '{contract.name}' has no column {', '.join(unknown)}.")
    if any("created_timestamp" in event for event in events):
        raise ContractBroken("A pushed event is learnt when it is pushed; leave created_timestamp out.")
    texts = [{name: _text(value) for name, value in event.items()} | {"created_timestamp": at.isoformat()}
             for event in events]  # fmt: skip
    frame = pl.DataFrame(texts, schema=dict.fromkeys(contract.columns, pl.String))
    customers = pl.scan_parquet(canonical / "customers" / "*.parquet").select("legal_entity", "customer_id").unique()
    verdict = validate(frame, contract, "pushed events", known_customers=customers.collect(), now=at)
    if verdict.rows_rejected:
        told = [
            f"event {row['row_number']}: {row['column']} ({row['value']}) {_rule(row['rule'])}"
            for row in verdict.rejections.head(_TOLD).to_dicts()
        ]
        raise ContractBroken(
            f"{verdict.rows_rejected} of {len(events)} events break the contract of '{contract.name}', so none was "
            f"taken: {'; '.join(told)}."
        )
    return verdict.kept


def _rule(rule: str) -> str:
    return f"should be one that {rule}"


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ContractBroken(f"An event holds {value!r}; give texts, numbers, true, false or null.")


def _only_their_rows(canonical: Path, contract: TableContract, rows: pl.DataFrame, alone: Path) -> list[str]:
    """Canonical tables that hold the parties of ``rows`` alone; return the parties."""
    with bounded_connection() as connection:
        connection.register("pushed", rows.select("legal_entity", "customer_id").unique().to_arrow())
        connection.execute(
            """
            CREATE TEMP TABLE concerned AS
            SELECT legal_entity, customer_id, party_id FROM read_parquet($parties)
            WHERE party_id IN (
                SELECT party_id FROM read_parquet($parties) JOIN pushed USING (legal_entity, customer_id)
            )
            """,
            {"parties": f"{canonical}/parties/*.parquet"},
        )
        for table in dict.fromkeys(("parties", "customers", contract.name)):
            folder = alone / table
            folder.mkdir()
            # A few customers of very many: a list of them lets most row groups be passed over unread.
            # Where a row of the table itself came from is asked when it turns out to be corrected.
            named = "true" if table == contract.name else "false"
            connection.sql(
                f"SELECT * FROM read_parquet($files, filename = {named}) AS rows_of_table "  # noqa: S608 - true or false
                "SEMI JOIN concerned USING (legal_entity, customer_id)",
                params={"files": f"{canonical}/{table}/*.parquet"},
            ).write_parquet(str(folder / "rows.parquet"))
        parties = connection.sql("SELECT DISTINCT party_id FROM concerned ORDER BY party_id").fetchall()
    return [party for (party,) in parties]


def _correct(canonical: Path, contract: TableContract, alone: Path, part: Path) -> None:
    """Where a pushed event corrects a row that was there, mark that row, in its own part and in the party's rows."""
    own = alone / contract.name / "rows.parquet"
    key = list(contract.key)
    rows = pl.read_parquet(own)
    rows.drop("filename").write_parquet(own)
    corrected = rows.filter(pl.struct(key).is_duplicated())
    if corrected.is_empty():
        return
    parts = {Path(name).name: Path(name) for name in sorted({*corrected["filename"], str(part)})}
    _supersede(contract, parts)
    _note_marks(canonical, contract, parts)
    for changed in superseded_parts(contract, {own.name: own}).values():
        changed.write_parquet(own)


def _supersede(contract: TableContract, parts: Mapping[str, Path]) -> None:
    for name, changed in superseded_parts(contract, parts).items():
        with written_whole(parts[name]) as file:
            changed.write_parquet(file, compression="snappy")


def _note_marks(canonical: Path, contract: TableContract, parts: Mapping[str, Path]) -> None:
    """Tell the ledger when rows of the parts were superseded."""
    ledger = read_ledger(canonical)
    for name, path in parts.items():
        entry = ledger.get((contract.name, name))
        if entry is not None:
            marks = pl.read_parquet(path, columns=[SUPERSEDED_AT])[SUPERSEDED_AT].drop_nulls().unique().sort()
            ledger[contract.name, name] = replace(entry, superseded=tuple(mark.isoformat() for mark in marks))
    if ledger:
        write_ledger(canonical, ledger)


def _bring_online(target: PushTarget, computed: Mapping[str, pl.DataFrame]) -> None:
    with (
        store_errors(),
        contextlib.closing(open_writer(target.online_store_url, target.feast_home, target.project)) as writer,
    ):
        for view, rows in computed.items():
            features = [name for name in rows.columns if name not in _NOT_FEATURES]
            writer.write(
                ViewLayout(view, tuple(features)),
                ViewRows(
                    entity_keys(ENTITY_COLUMNS, rows.select(ENTITY_COLUMNS).rows()),
                    rows.select(pl.col(features).fill_null(float("nan"))).to_numpy(),
                    rows["event_timestamp"].to_list(),
                    rows["created_timestamp"].to_list(),
                ),
            )


_NOT_FEATURES: Final = {*ENTITY_COLUMNS, "event_timestamp", "created_timestamp"}

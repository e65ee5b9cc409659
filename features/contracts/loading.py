"""Load raw tables through their contracts: kept rows to the canonical tables, rejected ones to quarantine."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from features.contracts.corrections import PUSHED_SUFFIX, SUPERSEDED_AT, superseded_parts
from features.contracts.ledger import Ledger, LoadedFile, content_hash, read_ledger, rules_hash, write_ledger
from features.contracts.tables import CONTRACTS, INSTANT, REQUIRED_TABLES, TableContract
from features.contracts.tokens import Tokens
from features.contracts.validation import rules_broken, validate
from features.errors import ContractBroken, UnreadableFile
from features.sources.files import read_table, table_files
from group.files import sync_folder, written_whole

_EXAMPLES: Final = 3
_ROW_GROUP: Final = 65_536


@dataclass(frozen=True, slots=True)
class TableLoad:
    """What became of one raw table."""

    table: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    ignored_columns: tuple[str, ...]
    broken_rules: dict[str, int]
    files: int = 1
    files_reused: int = 0

    @property
    def rejected_share(self) -> float:
        """Rejected rows among those read, 0 for an empty table."""
        return self.rows_rejected / self.rows_read if self.rows_read else 0.0


def load_tables(
    raw: Path,
    canonical: Path,
    quarantine: Path,
    *,
    rejected_share_limit: float,
    progress: Callable[[str], None] = lambda _table: None,
    now: datetime | None = None,
    tokens: Tokens | None = None,
) -> list[TableLoad]:
    """Load every table found in ``raw`` and return one line a table, in the contracts' order.

    A raw file becomes ``canonical/<table>/<file>.parquet``, its rejected rows ``quarantine/<table>/<file>.parquet``.
    Files that were loaded before from the same bytes by the same rules are left as they are; what is no longer in
    ``raw`` is removed. A row whose key was there before corrects it, where it was learnt later (``corrections``).
    Events that were pushed stay. Nothing changes before everything has been read and found right; a load that is
    killed while its files take their places is completed by the next one.

    Args:
        raw: the folder of raw tables.
        canonical: the folder of canonical tables.
        quarantine: where rejected rows are kept.
        rejected_share_limit: the largest share of a table's rows that may be rejected.
        progress: is told each table once it is read.
        now: what lies after it is in the future; the clock's time if left out.
        tokens: what becomes of identity and phone numbers; left out, there must be none.

    Raises:
        UnreadableFile: a file cannot be read, or changed while it was.
        ContractBroken: a required table or a column is missing, two rows of one key were learnt at once, or a table's
            rejected share is above the limit; the quarantine is written all the same.
    """
    files = {name: table_files(raw, name) for name in CONTRACTS}
    absent = [name for name in REQUIRED_TABLES if not files[name]]
    if absent:
        raise ContractBroken(
            f"{raw} has no table {', '.join(absent)}; put <table>.csv, <table>.csv.gz, <table>.parquet or a folder "
            "<table> with such files there."
        )
    for left in canonical.glob(".staging-*"):
        shutil.rmtree(left)  # of a load that was killed
    with tempfile.TemporaryDirectory(dir=_made(canonical), prefix=".staging-") as folder:
        load = _Load(canonical, Path(folder), quarantine, now or datetime.now(UTC), tokens or Tokens(None))
        for name, contract in CONTRACTS.items():
            if files[name]:
                load.table(contract, files[name])
                progress(name)
        lines = load.lines()
        _require_few_rejections(lines, rejected_share_limit, quarantine)
        load.take_places()
    return lines


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(slots=True)
class _Load:
    """One load under way: what was there, what is there now, and the new parts that wait to take their places."""

    canonical: Path
    staging: Path
    quarantine: Path
    now: datetime
    tokens: Tokens
    before: Ledger = field(init=False)
    after: Ledger = field(default_factory=dict)
    staged: dict[tuple[str, str], Path] = field(default_factory=dict)
    removed: list[Path] = field(default_factory=list)
    reused: Counter[str] = field(default_factory=Counter)
    known_customers: pl.DataFrame | None = None
    known: str = ""

    def __post_init__(self) -> None:
        self.before = read_ledger(self.canonical)

    def table(self, contract: TableContract, files: Sequence[Path]) -> None:
        """Read the table's files as far as they are new, and hold its rows against each other."""
        for path in files:
            self._file(contract, path)
        name = contract.name
        places = {place for place in self.after if place[0] == name}
        wanted = {self._final(place) for place in places}
        gone = {path for path in self._there(name) if path not in wanted}
        gone |= {self._final(place) for place in self.before if place[0] == name} - wanted
        self.removed += sorted(gone)
        self._pushed_together(name)
        if gone or any(place in self.staged for place in places) or self._pushed(name):
            self._mark_superseded(contract, sorted(part for _, part in places))
        if name == "customers":
            parts = [self._now_at((name, part)) for part in sorted(part for _, part in places)]
            self.known_customers = (
                pl.scan_parquet(parts).select("legal_entity", "customer_id").unique().sort(pl.all()).collect()
            )
            self.known = hashlib.sha256(self.known_customers.write_csv().encode()).hexdigest()[:16]

    def lines(self) -> list[TableLoad]:
        """One line a table, over all of its files."""
        tables: dict[str, list[LoadedFile]] = {}
        for entry in self.after.values():
            tables.setdefault(entry.table, []).append(entry)
        return [_line(name, tables[name], self.reused[name]) for name in CONTRACTS if name in tables]

    def take_places(self) -> None:
        """Put the new parts where they belong, and the ledger last."""
        for (table, part), path in self.staged.items():
            folder = _made(self.canonical / table)
            path.replace(folder / part)
            sync_folder(folder)
        for path in self.removed:
            path.unlink(missing_ok=True)
            (self.quarantine / path.parent.name / path.name).unlink(missing_ok=True)
        for name in CONTRACTS:
            if not any(table == name for table, _ in self.after):
                # A table that is no longer delivered, and what was pushed to it.
                shutil.rmtree(self.canonical / name, ignore_errors=True)
                shutil.rmtree(self.quarantine / name, ignore_errors=True)
        write_ledger(self.canonical, self.after)

    def _file(self, contract: TableContract, path: Path) -> None:
        place = (contract.name, f"{path.name.removesuffix('.parquet')}.parquet")
        digest = content_hash(path)
        entry = self.before.get(place)
        known = self.known if contract.refers_to_customers else ""
        if entry is not None and self._is_still_good(entry, digest, known):
            self.after[place] = entry
            self.reused[contract.name] += 1
            return
        rows = self.tokens.of(contract.name, read_table(path), path.name)
        verdict = validate(rows, contract, path.name, known_customers=self.known_customers, now=self.now)
        if content_hash(path) != digest:
            raise UnreadableFile(f"{path} changed while it was loaded; load again once it is delivered whole.")
        # By time, so that a query of a window of days leaves most row groups unread.
        kept = verdict.kept.sort("event_timestamp", maintain_order=True)
        staged = self._stage(place, kept.with_columns(pl.lit(None, INSTANT).alias(SUPERSEDED_AT)))
        self._quarantine(place, verdict.rejections)
        first = kept["created_timestamp"].min()
        self.after[place] = LoadedFile(
            table=contract.name,
            part=place[1],
            file=path.name,
            sha256=digest,
            part_sha256=content_hash(staged),
            rules=self._rules(),
            known=known,
            rows_read=len(kept) + verdict.rows_rejected,
            rows_kept=len(kept),
            rows_rejected=verdict.rows_rejected,
            rejected_for_now=verdict.rows_rejected_for_now,
            ignored_columns=verdict.ignored_columns,
            broken_rules=rules_broken(verdict.rejections),
            first_created=first.isoformat() if isinstance(first, datetime) else None,
        )

    def _is_still_good(self, entry: LoadedFile, digest: str, known: str) -> bool:
        place = (entry.table, entry.part)
        if (entry.sha256, entry.rules) != (digest, self._rules()) or not self._final(place).is_file():
            return False
        return entry.rejected_for_now == 0 and (entry.known == known or self._all_known(place))

    def _rules(self) -> str:
        return f"{rules_hash()}{self.tokens.fingerprint}"

    def _all_known(self, place: tuple[str, str]) -> bool:
        """Whether no customer of the part was lost since."""
        if self.known_customers is None:
            return True
        part = pl.scan_parquet(self._final(place)).select("legal_entity", "customer_id").unique().collect()
        return part.join(self.known_customers, on=["legal_entity", "customer_id"], how="anti").is_empty()

    def _there(self, table: str) -> list[Path]:
        """The delivered parts of a table on disk, those that no ledger names among them."""
        found = (self.canonical / table).glob("*.parquet")
        return [path for path in found if not path.name.endswith(PUSHED_SUFFIX)]

    def _pushed(self, table: str) -> list[Path]:
        return sorted((self.canonical / table).glob(f"*{PUSHED_SUFFIX}"))

    def _pushed_together(self, table: str) -> None:
        """Events that were pushed one by one become one part."""
        pushed = self._pushed(table)
        if len(pushed) > 1:
            rows = pl.concat([pl.read_parquet(path) for path in pushed])
            self._stage((table, pushed[-1].name), rows.sort("event_timestamp", maintain_order=True))
            self.removed += pushed[:-1]

    def _mark_superseded(self, contract: TableContract, parts: Sequence[str]) -> None:
        table = contract.name
        pushed = [path.name for path in self._pushed(table) if path not in self.removed]
        paths = {part: self._now_at((table, part)) for part in [*parts, *pushed]}
        for part, rows in superseded_parts(contract, paths).items():
            self._stage((table, part), rows)
            if (table, part) in self.after:
                marks = rows[SUPERSEDED_AT].drop_nulls().unique().sort()
                marked = tuple(mark.isoformat() for mark in marks)
                self.after[table, part] = replace(self.after[table, part], superseded=marked)

    def _stage(self, place: tuple[str, str], rows: pl.DataFrame) -> Path:
        path = _made(self.staging / place[0]) / place[1]
        with written_whole(path) as part:
            rows.write_parquet(part, compression="snappy", row_group_size=_ROW_GROUP)
        self.staged[place] = path
        return path

    def _quarantine(self, place: tuple[str, str], rejections: pl.DataFrame) -> None:
        path = self.quarantine / place[0] / place[1]
        if rejections.is_empty():
            path.unlink(missing_ok=True)
            return
        with written_whole(path) as part:
            rejections.write_parquet(part)

    def _final(self, place: tuple[str, str]) -> Path:
        return self.canonical / place[0] / place[1]

    def _now_at(self, place: tuple[str, str]) -> Path:
        return self.staged.get(place, self._final(place))


def _line(table: str, files: Sequence[LoadedFile], reused: int) -> TableLoad:
    rules: Counter[str] = Counter()
    for entry in files:
        rules.update(entry.broken_rules)
    return TableLoad(
        table,
        sum(entry.rows_read for entry in files),
        sum(entry.rows_kept for entry in files),
        sum(entry.rows_rejected for entry in files),
        tuple(dict.fromkeys(name for entry in files for name in entry.ignored_columns)),
        dict(rules.most_common()),
        files=len(files),
        files_reused=reused,
    )


def _require_few_rejections(loads: list[TableLoad], limit: float, quarantine: Path) -> None:
    for line in loads:
        if line.rejected_share > limit:
            rules = "; ".join(f"{count} × {rule}" for rule, count in list(line.broken_rules.items())[:_EXAMPLES])
            raise ContractBroken(
                f"Table '{line.table}': {line.rows_rejected} of {line.rows_read} rows were rejected "
                f"({line.rejected_share:.2%}, allowed are {limit:.2%}): {rules}. "
                f"See {quarantine / line.table}, or set JINKONG_REJECTED_SHARE_LIMIT."
            )


def write_report(loads: list[TableLoad], path: Path) -> None:
    """Keep the lines of a load as JSON, for the steps that come after."""
    path.write_text(json.dumps([asdict(line) for line in loads], indent=2, ensure_ascii=False))


def read_report(path: Path) -> list[TableLoad]:
    """The lines that ``write_report`` kept."""
    return [
        TableLoad(**(line | {"ignored_columns": tuple(line["ignored_columns"])}))
        for line in json.loads(path.read_text())
    ]

"""What has been loaded, file by file: from which bytes, by which rules, with what outcome.

The ledger is written last, whole. A load that is killed leaves the old one, and the next load does again what is not
in it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl

from group.files import write_text_whole

_FILE: Final = "ledger.json"
_RULES: Final = (
    "contracts/tables.py", "contracts/tokens.py", "contracts/validation.py", "contracts/loading.py", "sources/files.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """One raw file as it was loaded into ``<table>/<part>``.

    ``rejected_for_now`` counts the rows that another load might take: of customers not known yet, or of dates that were
    in the future. ``first_created`` is when its first kept row was learnt, ``known`` a hash of the customers it was
    held against, ``part_sha256`` of the part before any row of it was corrected. ``superseded`` are the instants at
    which rows of it were corrected by later ones.
    """

    table: str
    part: str
    file: str
    sha256: str
    part_sha256: str
    rules: str
    known: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    rejected_for_now: int
    ignored_columns: tuple[str, ...]
    broken_rules: dict[str, int]
    first_created: str | None
    superseded: tuple[str, ...] = ()


Ledger = dict[tuple[str, str], LoadedFile]
"""By table and part."""


def read_ledger(canonical: Path) -> Ledger:
    """The ledger of the canonical tables; empty if there is none or it is not whole."""
    try:
        entries = json.loads((canonical / _FILE).read_text())
        files = [_from_json(entry) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return {(file.table, file.part): file for file in files}


def write_ledger(canonical: Path, ledger: Ledger) -> None:
    """Put the ledger in place of the one that was there."""
    entries = [asdict(ledger[place]) for place in sorted(ledger)]
    write_text_whole(canonical / _FILE, json.dumps(entries, indent=1, ensure_ascii=False))


def parts_are_there(canonical: Path) -> bool:
    """Whether every part that the ledger names is on disk."""
    return bool(read_ledger(canonical)) and not missing_parts(canonical)


def missing_parts(canonical: Path) -> list[Path]:
    """The parts that the ledger names and that are not on disk."""
    parts = (canonical / table / part for table, part in read_ledger(canonical))
    return sorted(part for part in parts if not part.is_file())


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def rules_hash() -> str:
    """Changes with the code that decides which rows are kept and what they become."""
    room = Path(__file__).parent.parent
    return hashlib.sha256(b"\0".join((room / name).read_bytes() for name in _RULES)).hexdigest()


def table_state(canonical: Path, ledger: Ledger, table: str, as_of: datetime) -> list[str]:
    """What the rows of a table that were known at ``as_of`` depend on: the same list, the same rows.

    Files whose first row was learnt later do not count, nor do corrections that came later.
    """
    state = []
    for path in sorted((canonical / table).glob("*.parquet")):
        entry = ledger.get((table, path.name))
        if entry is None:
            # Pushed events, and tables that were put there without loading.
            status = path.stat()
            digest, first_created = _unlisted(path, status.st_ino, status.st_mtime_ns, status.st_size)
            if first_created is not None and first_created <= as_of:
                state.append(f"{path.name} {digest}")
        elif entry.first_created is not None and datetime.fromisoformat(entry.first_created) <= as_of:
            corrected = [at for at in entry.superseded if datetime.fromisoformat(at) <= as_of]
            state.append(f"{path.name} {entry.part_sha256} {corrected}")
    return state


@lru_cache(maxsize=4096)
def _unlisted(path: Path, _inode: int, _modified_ns: int, _size: int) -> tuple[str, datetime | None]:
    """The hash of a file that the ledger does not name, and when its first row was learnt."""
    first = pl.scan_parquet(path).select(pl.col("created_timestamp").min()).collect().item()
    return content_hash(path), first


def _from_json(entry: dict[str, Any]) -> LoadedFile:
    lists = {name: tuple(entry[name]) for name in ("ignored_columns", "superseded")}
    return LoadedFile(**(entry | lists))

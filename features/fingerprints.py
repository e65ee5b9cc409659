"""What feature rows depend on: a view's view and the canonical rows that were known at the instant, no later ones.

A day's new data leave earlier instants as they are, so only what a delivery really touches is computed again: its own
day, and the days of records that came with an older ``created_timestamp``.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import polars as pl

from features.compute import Fingerprints
from features.contracts.ledger import read_ledger, table_state
from features.windows import DeclaredView, Derived, Windowed, WindowView

_METHOD: Final = (
    "sight.py",
    "window_sql.py",
    "seen_rows.py",
    "slots.py",
    "distinct.py",
    "latest.py",
    "window_values.py",
    "compute.py",
)
"""The modules that turn rows into values: with another text of theirs, what was computed is computed again."""


def feature_fingerprints(
    views: Sequence[DeclaredView], canonical: Path, instants: Sequence[datetime], *, partitions: int = 1
) -> Fingerprints:
    """The fingerprint of each view at each instant."""
    ledger = read_ledger(canonical)
    method = hashlib.sha256(b"".join((Path(__file__).parent / module).read_bytes() for module in _METHOD)).hexdigest()
    libraries = [version(name) for name in ("duckdb", "numpy", "pyarrow")]
    parties = parties_known(canonical, instants)
    found = {}
    for instant in instants:
        customers = table_state(canonical, ledger, "customers", instant)
        states = {table: table_state(canonical, ledger, table, instant) for table in {view.table for view in views}}
        for view in views:
            depends = (_declaration(view), method, libraries, partitions, parties[instant], customers)
            text = repr((*depends, states[view.table], instant.isoformat()))
            found[view.name, instant] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _declaration(view: DeclaredView) -> list[object]:
    """What a view's values follow from, without what is said about them."""
    said: list[object] = [view.table, view.row_id if isinstance(view, WindowView) else ""]
    helpers = view.helpers if isinstance(view, WindowView) else ()
    for feature in (*view.features, *helpers):
        match feature:
            case Windowed(metric=metric):
                said.append((feature.name, metric.expression, metric.decimals, metric.scope, feature in helpers))
            case Derived():
                said.append((feature.name, feature.expression))
    return said


def canonical_state(canonical: Path) -> str:
    """Changes whenever any canonical table does, pushed events and parties among them."""
    digest = hashlib.sha256()
    for path in [canonical / "ledger.json", *sorted(canonical.glob("*/*.pushed.parquet")), *_party_files(canonical)]:
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _party_files(canonical: Path) -> list[Path]:
    return sorted((canonical / "parties").glob("*.parquet"))


def parties_known(canonical: Path, instants: Sequence[datetime]) -> dict[datetime, str]:
    """Of each instant a hash of the parties that were known by then."""
    parties = pl.read_parquet(_party_files(canonical)).sort("created_timestamp", "legal_entity", "customer_id")
    rows = parties.hash_rows().to_numpy()
    known = {instant: int((parties["created_timestamp"] <= instant).sum()) for instant in instants}
    return {instant: hashlib.sha256(rows[:count].tobytes()).hexdigest() for instant, count in known.items()}

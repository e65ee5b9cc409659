"""Job: from a source to canonical tables."""

import shutil
from typing import Any

from features import (
    CONTRACTS,
    Landing,
    Source,
    UnknownSource,
    load_tables,
    parts_are_there,
    read_manifest,
    table_files,
    write_report,
)
from features.contracts.tokens import Tokens
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.steps import DATA, StepRecord, fingerprint, run_step
from pipelines.workspace import Workspace


def load_data(settings: Settings, source: Source, reporter: Reporter, *, again: bool = False) -> StepRecord:
    """Deliver and validate. The facts: rows read, kept and rejected by table.

    Raises:
        UnreadableFile: a file cannot be read.
        ContractBroken: a table is missing or too many of its rows are rejected.
        UnknownSource: the source has nothing to deliver from.
    """
    workspace = Workspace.of(settings)
    with reporter.bar(f"{source.name}: looking for changes", None):
        tokens = identity_tokens(settings)
        wanted = fingerprint(
            source.identity(), settings.rejected_share_limit, tokens.fingerprint, code=("features", "group")
        )

    def work() -> dict[str, Any]:
        # Another source's tables take the place of these only once they are whole: a path mistyped must not cost any.
        arriving = Workspace(workspace.arriving)
        shutil.rmtree(arriving.home, ignore_errors=True)
        replaces = _source_before(workspace) != source.name
        place = arriving if replaces else workspace
        for folder in (place.raw, place.truth):
            shutil.rmtree(folder, ignore_errors=True)
        place.quarantine.mkdir(parents=True, exist_ok=True)
        landing = Landing(
            place.raw, place.truth, place.quarantine, settings.rejected_share_limit, settings.threads, tokens
        )
        with reporter.bar(f"{source.name}: delivering", source.work) as advance:
            delivery = source.deliver(landing, advance)
        found = sum(1 for table in CONTRACTS if table_files(delivery.raw, table))
        with reporter.bar("contracts", found) as advance:
            loads = load_tables(
                delivery.raw,
                place.canonical,
                place.quarantine,
                rejected_share_limit=settings.rejected_share_limit,
                progress=lambda _table: advance(1),
                tokens=tokens,
            )
        delivery.manifest.write(place.data)
        loads = [*delivery.loads, *loads]
        write_report(loads, place.load_report)
        if replaces:
            _take_in(arriving, workspace)
        return {
            "source": source.name,
            "tables": {
                load.table: {"read": load.rows_read, "kept": load.rows_kept, "rejected": load.rows_rejected}
                for load in loads
            },
            "broken_rules": {load.table: load.broken_rules for load in loads if load.broken_rules},
            "files": {
                load.table: {"loaded": load.files - load.files_reused, "reused": load.files_reused} for load in loads
            },
            "ignored_columns": {load.table: list(load.ignored_columns) for load in loads if load.ignored_columns},
        }

    return run_step(
        workspace, DATA, wanted, work, still_there=lambda: parts_are_there(workspace.canonical), again=again
    )


def identity_tokens(settings: Settings) -> Tokens:
    """What becomes of identity and phone numbers by the settings."""
    return Tokens(settings.identity_key.get_secret_value() if settings.identity_key else None)


def _take_in(arriving: Workspace, workspace: Workspace) -> None:
    for old, new in ((workspace.truth, arriving.truth), (workspace.data, arriving.data)):
        shutil.rmtree(old, ignore_errors=True)
        if new.is_dir():
            new.rename(old)
    shutil.rmtree(arriving.home)


def _source_before(workspace: Workspace) -> str | None:
    try:
        return read_manifest(workspace.data).source
    except UnknownSource:
        return None

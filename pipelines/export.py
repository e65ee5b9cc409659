"""``jinkong export``: what this home holds, as files for others."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from features import read_manifest
from features.exports import export, exportable, rows_of, write_export_manifest
from group.entities import legal_entity
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.workspace import Workspace


def list_names(settings: Settings, console: Console) -> None:
    """What there is to export."""
    workspace = Workspace.of(settings)
    read_manifest(workspace.data)
    there = exportable(workspace.canonical, workspace.features, workspace.frame)
    console.print(f"To export: {', '.join(there)}", soft_wrap=True, highlight=False)


def export_names(
    settings: Settings, names: Sequence[str], folder: Path, written_as: str, company: str | None, reporter: Reporter
) -> Path:
    """Write each of ``names`` below ``folder``; return the manifest of what was written.

    Raises:
        UnknownSource: there is nothing of one of the names; nothing was written.
        UnsupportedSource: an unknown format, or more rows than it holds.
    """
    workspace = Workspace.of(settings)
    manifest = read_manifest(workspace.data)
    code = legal_entity(company).code if company else None
    there = exportable(workspace.canonical, workspace.features, workspace.frame)
    chosen = {name: rows_of(there, name, code) for name in dict.fromkeys(names)}
    written = []
    with reporter.bar("export", len(chosen)) as advance:
        for name, rows in chosen.items():
            written.append(export(rows, name, folder, written_as))
            advance(1)
    return write_export_manifest(written, folder, manifest.source, datetime.now(UTC))

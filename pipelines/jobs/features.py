"""Job: from canonical tables to feature rows in Feast, offline and online."""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features import (
    VIEWS,
    ContractBroken,
    DeclaredView,
    Fingerprints,
    UnknownSource,
    apply_definitions,
    canonical_state,
    complete_pushes,
    compute_views,
    compute_views_on_ray,
    computed_instants,
    feature_file,
    feature_fingerprints,
    forget,
    materialise,
    missing_parts,
    open_store,
    read_manifest,
    rows_if_current,
    snapshot_instants,
    write_supplier_peers,
)
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.steps import FEATURES, IDENTITY, StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace
from training import ray_session


def build_features(
    settings: Settings, reporter: Reporter, *, again: bool = False, as_of: datetime | None = None
) -> StepRecord:
    """Compute what is not current of every view whose table was loaded, register it, bring the latest online.

    The instants are the month starts, those that were computed before (of a day, or a backfill), and ``as_of``. The
    facts: rows and number of features by view, parties online by view, first and last instant, files computed.

    Raises:
        UnknownSource: no data were loaded, or their customers were not linked.
        FeatureStoreUnavailable: the online store does not answer.
        MaterialisationIncomplete: rows are missing online.
    """
    workspace = Workspace.of(settings)
    manifest = read_manifest(workspace.data)
    linked = last_record(workspace, IDENTITY)
    if linked is None:
        raise UnknownSource(f"The customers in {workspace.data} were not linked; run `jinkong data` again.")
    complete_pushes(workspace.canonical)
    # The online store's address is hashed, never written down: it may hold a password.
    wanted = fingerprint(
        linked.fingerprint,
        canonical_state(workspace.canonical),
        settings.online_store_url,
        settings.feature_partitions,
        as_of,
        code=("features", "group"),
    )

    def work() -> dict[str, Any]:
        with reporter.bar("suppliers of the same buyers", None):
            views = loaded_views(settings)
        _forget_another_source(workspace, settings, manifest.source)
        if again:
            shutil.rmtree(workspace.features, ignore_errors=True)
        months = snapshot_instants(workspace.canonical)
        chosen = {*months, *computed_instants(workspace.features), *([as_of] if as_of else [])}
        instants = sorted(chosen)
        computed = compute_features(settings, views, instants, reporter)
        store = open_store(settings)
        counts = apply_definitions(store, workspace.features)
        with reporter.bar("bringing features online", len(views)) as advance:
            online = materialise(settings, workspace.features, instants[-1], progress=lambda _view: advance(1))
        return {
            "source": manifest.source,
            "rows": computed.rows,
            "features": counts,
            "online": online,
            "first_instant": instants[0].isoformat(),
            "last_instant": instants[-1].isoformat(),
            "instants": len(instants),
            "files": computed.files,
            "files_computed": computed.files_computed,
        }

    def still_there() -> bool:
        done = last_record(workspace, FEATURES)
        return done is not None and len(list(workspace.features.glob("*/as_of_*.parquet"))) >= done.facts["files"]

    return run_step(workspace, FEATURES, wanted, work, still_there=still_there, again=again)


@dataclass(frozen=True, slots=True)
class Computed:
    """The rows of each view, and how many of the files that hold them were computed now."""

    rows: dict[str, int]
    files: int
    files_computed: int


def built_features(workspace: Workspace) -> StepRecord:
    """What was built last.

    Raises:
        ContractBroken: nothing was.
    """
    built = last_record(workspace, FEATURES)
    if built is None:
        raise ContractBroken(f"{workspace.home} has no features; run `jinkong features` first.")
    return built


def loaded_views(settings: Settings) -> list[DeclaredView]:
    """The views whose table was loaded, or was made here of those that were.

    Raises:
        UnknownSource: a file that was loaded is gone; without it features would be wrong and not say so.
    """
    workspace = Workspace.of(settings)
    if gone := missing_parts(workspace.canonical):
        raise UnknownSource(
            f"Of the files that were loaded {len(gone)} are gone, {gone[0]} first; run `jinkong data` with the same "
            "source: it loads what is missing."
        )
    write_supplier_peers(workspace.canonical, threads=settings.threads, memory_limit=settings.memory_limit or None)
    return [view.declared for view in VIEWS if any((workspace.canonical / view.table).glob("*.parquet"))]


def compute_features(
    settings: Settings, views: Sequence[DeclaredView], instants: Sequence[datetime], reporter: Reporter
) -> Computed:
    """Compute what is not current, in this process or by partition on Ray where the settings ask for several."""
    workspace = Workspace.of(settings)
    partitions = settings.feature_partitions
    marks = feature_fingerprints(views, workspace.canonical, instants, partitions=partitions)
    suffixes = [""] if partitions == 1 else [f".partition-{number:04d}" for number in range(partitions)]
    files = {
        feature_file(workspace.features, view, instant, suffix): mark
        for (view, instant), mark in marks.items()
        for suffix in suffixes
    }
    waiting = sum(rows_if_current(path, mark) is None for path, mark in files.items())
    rows = _compute(settings, workspace, views, instants, marks, reporter)
    _remove_others(workspace, files)
    return Computed(rows, len(files), waiting)


def _compute(
    settings: Settings,
    workspace: Workspace,
    views: Sequence[DeclaredView],
    instants: Sequence[datetime],
    marks: Fingerprints,
    reporter: Reporter,
) -> dict[str, int]:
    if settings.feature_partitions == 1:
        with reporter.bar("windowed features", len(views) * len(instants)) as advance:
            return compute_views(
                views,
                workspace.canonical,
                workspace.features,
                instants,
                threads=settings.threads,
                memory_limit=settings.memory_limit,
                fingerprints=marks,
                progress=lambda _view, _instant: advance(1),
            )
    with ray_session(settings), reporter.bar("features by partition", settings.feature_partitions) as advance:
        return compute_views_on_ray(
            views,
            workspace.canonical,
            workspace.features,
            instants,
            partitions=settings.feature_partitions,
            scratch=workspace.scratch / "partitions",
            threads=settings.threads,
            memory_limit=settings.memory_limit,
            fingerprints=marks,
            progress=lambda _rows: advance(1),
        )


def _remove_others(workspace: Workspace, files: Collection[Path]) -> None:
    """Files of the same instants by another number of partitions would hold their rows twice."""
    stems = {(path.parent, path.name.split(".")[0]) for path in files}
    for path in workspace.features.glob("*/*.parquet"):
        if path not in files and (path.parent, path.name.split(".")[0]) in stems:
            path.unlink()


def _forget_another_source(workspace: Workspace, settings: Settings, source: str) -> None:
    """Another data set's parties must not be scored beside this one's."""
    marker = workspace.online_source
    if marker.is_file() and marker.read_text() != source:
        shutil.rmtree(workspace.features, ignore_errors=True)
        forget(open_store(settings))
    marker.write_text(source)

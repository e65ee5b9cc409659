"""Job: from canonical tables to feature rows in Feast, offline and online."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from features import (
    VIEWS,
    UnknownSource,
    ViewQuery,
    apply_definitions,
    compute_views,
    compute_views_on_ray,
    forget,
    materialise,
    open_store,
    read_manifest,
    snapshot_instants,
)
from group.settings import Settings
from pipelines.jobs import identity
from pipelines.progress import Reporter
from pipelines.steps import StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace
from training import ray_session

STEP = "features"


def build_features(settings: Settings, reporter: Reporter, *, again: bool = False) -> StepRecord:
    """Compute every view whose table was loaded at every month start, register them, bring the latest online.

    The facts: rows and number of features by view, parties online by view, first and last instant.

    Raises:
        UnknownSource: no data were loaded.
        FeatureStoreUnavailable: the online store does not answer.
        MaterialisationIncomplete: rows are missing online.
    """
    workspace = Workspace.of(settings)
    manifest = read_manifest(workspace.data)
    linked = last_record(workspace, identity.STEP)
    if linked is None:
        raise UnknownSource(f"The customers in {workspace.data} were not linked; run `jinkong data` again.")
    # The online store's address is hashed, never written down: it may hold a password.
    wanted = fingerprint(
        linked.fingerprint,
        settings.online_store_url,
        settings.feature_partitions,
        code=("features", "group"),
    )

    def work() -> dict[str, Any]:
        views = [view for view in VIEWS if any((workspace.canonical / view.query.table).glob("*.parquet"))]
        instants = snapshot_instants(workspace.canonical)
        shutil.rmtree(workspace.features, ignore_errors=True)
        rows = _compute(settings, workspace, [view.query for view in views], instants, reporter)
        _forget_another_source(workspace, settings, manifest.source)
        store = open_store(settings)
        counts = apply_definitions(store, workspace.features)
        with reporter.bar("bringing features online", len(views)) as advance:
            online = materialise(settings, workspace.features, instants[-1], progress=lambda _view: advance(1))
        return {
            "source": manifest.source,
            "rows": rows,
            "features": counts,
            "online": online,
            "first_instant": instants[0].isoformat(),
            "last_instant": instants[-1].isoformat(),
        }

    return run_step(workspace, STEP, wanted, work, still_there=workspace.features.is_dir, again=again)


def _compute(
    settings: Settings,
    workspace: Workspace,
    queries: Sequence[ViewQuery],
    instants: Sequence[datetime],
    reporter: Reporter,
) -> dict[str, int]:
    """In this process, or by partition on Ray where the settings ask for more than one."""
    if settings.feature_partitions == 1:
        with reporter.bar("windowed features", len(queries) * len(instants)) as advance:
            return compute_views(
                queries,
                workspace.canonical,
                workspace.features,
                instants,
                threads=settings.threads,
                memory_limit=settings.memory_limit,
                progress=lambda _view, _instant: advance(1),
            )
    with ray_session(settings), reporter.bar("features by partition", settings.feature_partitions) as advance:
        return compute_views_on_ray(
            queries,
            workspace.canonical,
            workspace.features,
            instants,
            partitions=settings.feature_partitions,
            scratch=workspace.scratch / "partitions",
            threads=settings.threads,
            memory_limit=settings.memory_limit,
            progress=lambda _rows: advance(1),
        )


def _forget_another_source(workspace: Workspace, settings: Settings, source: str) -> None:
    """Another data set's parties must not be scored beside this one's."""
    marker = workspace.online_source
    if marker.is_file() and marker.read_text() != source:
        forget(open_store(settings))
    marker.write_text(source)

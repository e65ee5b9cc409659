"""Job: from canonical tables to feature rows in Feast, offline and online."""

import shutil
from typing import Any

from features import (
    VIEWS,
    apply_definitions,
    compute_views,
    forget,
    materialise,
    open_store,
    read_manifest,
    snapshot_instants,
)
from group.settings import Settings
from pipelines.jobs import data
from pipelines.progress import Reporter
from pipelines.steps import StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace

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
    loaded = last_record(workspace, data.STEP)
    # The online store's address is hashed, never written down: it may hold a password.
    wanted = fingerprint(
        loaded.fingerprint if loaded else None, settings.online_store_url, code=("features", "group")
    )  # fmt: skip

    def work() -> dict[str, Any]:
        views = [view for view in VIEWS if any((workspace.canonical / view.query.table).glob("*.parquet"))]
        instants = snapshot_instants(workspace.canonical)
        shutil.rmtree(workspace.features, ignore_errors=True)
        with reporter.bar("windowed features", len(views) * len(instants)) as advance:
            rows = compute_views(
                [view.query for view in views],
                workspace.canonical,
                workspace.features,
                instants,
                threads=settings.threads,
                progress=lambda _view, _instant: advance(1),
            )
        _forget_another_source(workspace, settings, manifest.source)
        store = open_store(settings)
        counts = apply_definitions(store, workspace.features)
        with reporter.bar("bringing features online", len(views)) as advance:
            online = materialise(store, workspace.features, instants[-1], progress=lambda _view: advance(1))
        return {
            "source": manifest.source,
            "rows": rows,
            "features": counts,
            "online": online,
            "first_instant": instants[0].isoformat(),
            "last_instant": instants[-1].isoformat(),
        }

    return run_step(workspace, STEP, wanted, work, still_there=workspace.features.is_dir, again=again)


def _forget_another_source(workspace: Workspace, settings: Settings, source: str) -> None:
    """Another data set's parties must not be scored beside this one's."""
    marker = workspace.online_source
    if marker.is_file() and marker.read_text() != source:
        forget(open_store(settings))
    marker.write_text(source)

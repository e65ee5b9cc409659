"""Judge data sources on this home's training frame, and write the report."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from features import VIEWS, View, read_manifest
from features.contracts.loading import read_report
from features.sources.quality.judgement import Judgement, SourceOffer, judge, steps_of
from features.sources.quality.offers import Offer, Offers, delivery_of, vendor_columns
from group.errors import InputError
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.workspace import Workspace
from reporting.source_quality import write_source_report
from training.quick import quick_learner

EXAMPLE_OFFERS: Final = Offers.model_validate({
    "sources": {
        "bureau": {"views": ["bureau"], "cost_per_year": 300_000},
        "accounts": {"views": ["cash_flow", "balance", "rhythm"], "cost_per_year": 180_000},
        "trade": {"views": ["trade"], "cost_per_year": 90_000},
        "applications": {"views": ["applications"], "cost_per_year": 20_000},
    }
})  # fmt: skip
"""What the demonstration asks: is what the group could buy or do without worth its money? The costs are made up."""

EXAMPLE_BUDGET: Final = 400_000.0

_KEYS: Final = ("legal_entity", "party_id", "event_timestamp")


def judge_sources(settings: Settings, offers: Offers, budget: float, reporter: Reporter) -> Judgement:
    """Judge the offers on the rows of the last training: what is not on offer is the model that is there already.

    Raises:
        InputError: nothing was trained yet, or a view on offer was not computed.
    """
    workspace = Workspace.of(settings)
    if not workspace.frame.is_file():
        raise InputError(
            f"No model was trained in {workspace.home}, so no customers are labelled; run `jinkong train`."
        )
    frame = pl.read_parquet(workspace.frame)
    known: list[SourceOffer] = []
    for name, offer in offers.sources.items():
        if offer.file is not None:
            frame, seen = vendor_columns(name, offer, frame, workspace.canonical / "parties" / "*.parquet")
        else:
            frame, seen = _with_views(name, offer, frame, workspace)
        known.append(seen)
    offered = {column for offer in known for column in offer.columns}
    features = [name for view in VIEWS for name in view.feature_names if name in frame.columns]
    base = [name for name in features if name not in offered]
    train, test = (frame.filter(pl.col("fold") == fold) for fold in ("train", "test"))
    with reporter.bar("judging sources", steps_of(len(known))) as advance:
        return judge(
            train, test, base, known, quick_learner(settings.threads), budget=budget,
            progress=lambda _what: advance(1),
        )  # fmt: skip


def source_report(
    settings: Settings, offers: Offers, budget: float, reporter: Reporter, path: Path | None = None
) -> Path:
    """Write the report on sources to ``path``, or below the home folder; return where it is."""
    workspace = Workspace.of(settings)
    manifest = read_manifest(workspace.data)
    found = judge_sources(settings, offers, budget, reporter)
    target = path or workspace.reports / "source_quality.html"
    write_source_report(target, source=manifest.source, judgement=found, made_at=datetime.now(UTC))
    return target


def _with_views(name: str, offer: Offer, frame: pl.DataFrame, workspace: Workspace) -> tuple[pl.DataFrame, SourceOffer]:
    views = [view for view in VIEWS if view.name in offer.views]
    columns: list[str] = []
    for view in views:
        files = sorted((workspace.features / view.name).glob("as_of_*.parquet"))
        if not files:
            raise InputError(f"View '{view.name}' of source '{name}' was not computed; run `jinkong features`.")
        columns += view.feature_names
        missing = [feature for feature in view.feature_names if feature not in frame.columns]
        if missing:
            # Files hold the rows of an instant as they were known then: the very instants of the frame.
            rows = pl.scan_parquet(files).select(*_KEYS, *missing).collect()
            frame = frame.join(rows, on=list(_KEYS), how="left", maintain_order="left")
    manifest = read_manifest(workspace.data)
    validity, delay, age = delivery_of(_kept(workspace, views), workspace.canonical, manifest.observed_until)
    return frame, SourceOffer(name, tuple(columns), offer.cost_per_year, validity, delay, age)


def _kept(workspace: Workspace, views: Sequence[View]) -> dict[str, float | None]:
    shares: Mapping[str, float] = {load.table: 1 - load.rejected_share for load in read_report(workspace.load_report)}
    return {view.table: shares.get(view.table) for view in views}

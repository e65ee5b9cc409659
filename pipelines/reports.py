"""Gather what a report shows, and write it below the home folder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy import func, select

from features import read_manifest
from features.identity.accuracy import link_accuracy
from features.identity.customers import known_customers
from features.identity.ownership import group_exposures
from features.identity.reviews import review_cases
from features.identity.rulings import identity_reviews, open_reviews
from group.database import migrated, reading
from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from pipelines.workspace import Workspace
from reporting.identity import write_identity_report

_SHOWN: Final = 25


def identity_report(settings: Settings, path: Path | None = None) -> Path:
    """Write the report on parties to ``path``, or below the home folder; return where it is."""
    workspace = Workspace.of(settings)
    manifest = read_manifest(workspace.data)
    parties = pl.read_parquet(workspace.canonical / "parties" / "*.parquet")
    truth = workspace.truth / "identity"
    with migrated(settings.state_url) as engine:
        with reading(engine) as connection:
            waiting = connection.execute(select(func.count()).select_from(identity_reviews)).scalar_one()
        links = open_reviews(engine, list(LEGAL_ENTITIES), limit=_SHOWN)
    target = path or workspace.reports / "identity.html"
    write_identity_report(
        target,
        source=manifest.source,
        parties=parties,
        waiting=waiting,
        reviews=review_cases(known_customers(workspace.canonical), links),
        exposures=group_exposures(workspace.canonical, manifest.observed_until).head(_SHOWN),
        as_of=manifest.observed_until,
        accuracy=link_accuracy(parties, pl.read_parquet(truth / "*.parquet")) if truth.is_dir() else None,
        made_at=datetime.now(UTC),
    )
    return target

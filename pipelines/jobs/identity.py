"""Job: from canonical customers to parties, with officers' rulings, and the queue of what they are asked next."""

import hashlib
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from features import Resolution, resolve_parties
from features.identity.rulings import queue_reviews, rulings_in_force
from group.database import migrate, open_database
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.steps import DATA, IDENTITY, StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace


def link_customers(settings: Settings, reporter: Reporter, *, again: bool = False) -> StepRecord:
    """Put customers together into parties. The facts: customers, parties, links by basis, pairs that wait.

    Raises:
        DatabaseUnavailable: officers' rulings cannot be read.
    """
    workspace = Workspace.of(settings)
    loaded = last_record(workspace, DATA)
    engine = open_database(settings.state_url)
    try:
        migrate(engine)
        rulings = rulings_in_force(engine)
        ruled = hashlib.sha256(repr([asdict(ruling) for ruling in rulings]).encode()).hexdigest()
        wanted = fingerprint(loaded.fingerprint if loaded else None, ruled, code=("features", "group"))

        def work() -> dict[str, Any]:
            with reporter.bar("one customer across the group", None):
                found = resolve_parties(
                    workspace.canonical,
                    rulings,
                    threads=settings.threads,
                    memory_limit=settings.memory_limit or None,
                )
            return _facts(found) | {"waiting": queue_reviews(engine, found.uncertain, datetime.now(UTC))}

        return run_step(
            workspace, IDENTITY, wanted, work, still_there=(workspace.canonical / "parties").is_dir, again=again
        )  # fmt: skip
    finally:
        engine.dispose()


def _facts(found: Resolution) -> dict[str, Any]:
    return {
        "customers": found.customers,
        "parties": found.parties,
        "links": dict(Counter(link.basis for link in found.merged).most_common()),
    }

"""What the routes of one process stand on: the database, the models in service, and the scoring over both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from group.database import Checkpoints, migrate, open_database, reading
from group.settings import Settings
from serving.aside import Aside
from serving.batch_scoring import BatchScoring
from serving.jobs.expiry import ResultExpiry
from serving.jobs.kept import unfinished_jobs
from serving.jobs.launching import JobRunner
from serving.models import Models
from serving.scoring import Scoring
from serving.shadow import Shadow


@dataclass(frozen=True)
class Backend:
    """Shared by all requests of one process. ``now`` is the clock, to be replaced in tests."""

    settings: Settings
    engine: Engine
    models: Models
    scoring: Scoring
    batches: BatchScoring
    checkpoints: Checkpoints
    aside: Aside
    jobs: JobRunner
    expiry: ResultExpiry
    shadow: Shadow
    now: Callable[[], datetime]

    def close(self) -> None:
        """Give the scores that are in hand, and let go of the database."""
        self.shadow.close()
        self.models.close()
        self.aside.close()
        self.jobs.close()
        self.expiry.close()
        self.scoring.close()
        self.batches.close()
        self.checkpoints.close()
        self.engine.dispose()


def open_backend(
    settings: Settings,
    *,
    after_loading: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Backend:
    """A backend on a database that has this version's tables; its models are looked after until it is closed.

    Raises:
        DatabaseUnavailable: the database does not answer or cannot be migrated.
    """
    engine = open_database(settings.state_url, leave_checkpoints=True)
    migrate(engine)
    models = Models(settings, after_loading)
    models.watch()
    shadow = Shadow(settings, models.challenged)
    shadow.begin()
    jobs = JobRunner(settings)
    with reading(engine) as connection:
        if unfinished_jobs(connection):
            jobs.see_to_it(now=True)
    checkpoints = Checkpoints(engine)
    scoring = Scoring(settings, engine, checkpoints, now)
    batches = BatchScoring(engine, checkpoints, now)
    expiry = ResultExpiry(settings, engine, now)
    return Backend(settings, engine, models, scoring, batches, checkpoints, Aside(), jobs, expiry, shadow, now)

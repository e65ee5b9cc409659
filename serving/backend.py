"""What the routes stand on: the database, and the scorer as soon as there is a champion to load."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from features import online_reader
from group.database import migrate, open_database
from group.errors import JinkongError
from group.settings import Settings
from serving.scorer import Scorer
from serving.scoring import Scoring
from training import MODEL_NAME, champion, scores_parties

_RETRY_SECONDS: Final = 2.0
"""How long a failure to load the champion is remembered, so that requests in the meantime are refused at once."""

_MOST_MODELS: Final = 32
"""Models that one process keeps loaded; the one loaded first makes way for another."""


@dataclass
class Backend:
    """Shared by all requests of one process.

    ``now`` is the clock, to be replaced in tests; ``after_loading`` is told when a model has been loaded.
    """

    settings: Settings
    engine: Engine
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    after_loading: Callable[[], None] = lambda: None
    _scorers: dict[str, Scorer] = field(default_factory=dict)
    _failures: dict[str, tuple[float, JinkongError]] = field(default_factory=dict)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.scoring = Scoring(self.engine, self.now)

    def ready_scorer(self, name: str) -> Scorer | None:
        """The scorer of a model's champion if it is loaded already."""
        return self._scorers.get(name)

    def scorer(self, name: str = MODEL_NAME) -> Scorer:
        """The scorer of a model's champion, loaded at the first call that can.

        Raises:
            NoChampion, RegistryUnavailable, ModelTampered, FeatureStoreUnavailable: why there is none now.
        """
        found = self._scorers.get(name)
        if found is not None:
            return found
        with self._loading:
            if name not in self._scorers:
                failed = self._failures.get(name)
                if failed is not None and time.monotonic() - failed[0] < _RETRY_SECONDS:
                    raise failed[1]
                if len(self._scorers) >= _MOST_MODELS:
                    del self._scorers[next(other for other in self._scorers if other != MODEL_NAME)]
                try:
                    self._scorers[name] = _load_scorer(self.settings, name)
                    self.after_loading()
                except JinkongError as error:
                    self._remember(name, error)
                    raise
            return self._scorers[name]

    def _remember(self, name: str, error: JinkongError) -> None:
        # Names come from callers: what is remembered of them is bounded.
        if len(self._failures) >= _MOST_MODELS:
            self._failures.clear()
        self._failures[name] = (time.monotonic(), error)

    def close(self) -> None:
        """Give the scores that are in hand, and let go of the database."""
        self.scoring.close()
        self.engine.dispose()


def open_backend(settings: Settings, after_loading: Callable[[], None] = lambda: None) -> Backend:
    """A backend on a database that has this version's tables.

    Raises:
        DatabaseUnavailable: the database does not answer or cannot be migrated.
    """
    engine = open_database(settings.state_url)
    migrate(engine)
    return Backend(settings, engine, after_loading=after_loading)


def _load_scorer(settings: Settings, name: str) -> Scorer:
    registered = champion(settings, name)
    # A model of a table has columns that no party has online.
    reader = online_reader(settings, registered.model.features) if scores_parties(name) else None
    return Scorer(registered, reader)

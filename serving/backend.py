"""What the routes stand on: the database, and the scorer as soon as there is a champion to load."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from features import online_reader
from group.audit import AuditEvent, AuditRecord, append
from group.database import migrate, open_database
from group.errors import JinkongError
from group.settings import Settings
from serving.scorer import Scorer
from training import champion

_RETRY_SECONDS: Final = 2.0
"""How long a failure to load the champion is remembered, so that requests in the meantime are refused at once."""


@dataclass
class Backend:
    """Shared by all requests of one process. ``now`` is the clock, to be replaced in tests."""

    settings: Settings
    engine: Engine
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _scorer: Scorer | None = None
    _failure: tuple[float, JinkongError] | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)

    @property
    def loaded(self) -> Scorer | None:
        """The scorer if it is loaded already."""
        return self._scorer

    def scorer(self) -> Scorer:
        """The scorer of the champion, loaded at the first call that can.

        Raises:
            NoChampion, RegistryUnavailable, ModelTampered, FeatureStoreUnavailable: why there is none now.
        """
        if self._scorer is not None:
            return self._scorer
        with self._loading:
            if self._scorer is None:
                if self._failure is not None and time.monotonic() - self._failure[0] < _RETRY_SECONDS:
                    raise self._failure[1]
                try:
                    self._scorer = _load_scorer(self.settings)
                except JinkongError as error:
                    self._failure = (time.monotonic(), error)
                    raise
            return self._scorer

    def record(self, event: AuditEvent) -> AuditRecord:
        """Append to the audit log, on disk when this returns."""
        with self.engine.begin() as connection:
            return append(connection, event, self.now())

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def open_backend(settings: Settings) -> Backend:
    """A backend on a database that has this version's tables.

    Raises:
        DatabaseUnavailable: the database does not answer or cannot be migrated.
    """
    engine = open_database(settings.state_url)
    migrate(engine)
    return Backend(settings, engine)


def _load_scorer(settings: Settings) -> Scorer:
    registered = champion(settings)
    return Scorer(registered, online_reader(settings, registered.model.features))

"""The models in service: loaded once, looked after while they serve, replaced without a request noticing."""

import contextlib
import hashlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final

from features import FeatureStoreUnavailable, online_reader
from group.errors import JinkongError
from group.settings import Settings
from serving.scorer import Scorer
from training import (
    CHALLENGER,
    CHAMPION,
    MODEL_NAME,
    Mark,
    ModelTampered,
    NoChampion,
    RegisteredModel,
    RegistryUnavailable,
    champion_mark,
    deploy,
    deployed,
    scores_parties,
)

_LOG: Final = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0
"""How long a failure to load a champion is remembered, so that requests in the meantime are refused at once."""

_AGAIN_SECONDS: Final = 60.0
"""How long a version whose files are not what was registered is not fetched again."""

_MOST_MODELS: Final = 32
"""Models that one process keeps loaded; the one loaded first makes way for another."""

_UNUSABLE: Final = (ModelTampered, RegistryUnavailable, FeatureStoreUnavailable)
"""Why a champion cannot take its place, though there is one."""


_TICKETS: Final = 2**48


@dataclass(frozen=True, slots=True)
class _Challenger:
    """A version that is tried, and what the registry says of it."""

    mark: Mark
    scorer: Scorer

    def answers_for(self, party_id: str) -> bool:
        """Whether it is drawn to answer for the party."""
        drawn = hashlib.blake2b(f"{self.mark.sha256}\0{party_id}".encode(), digest_size=6).digest()
        return int.from_bytes(drawn) < self.mark.share * _TICKETS


class Models:
    """Scorers of champions. Safe to share between threads.

    Where the registry is away, or its champion cannot be used, the last one that this home served goes on; ``notes``
    says so for each model. A champion that was withdrawn is not served.
    """

    def __init__(self, settings: Settings, after_loading: Callable[[], None] = lambda: None) -> None:
        """``after_loading`` is told when a model has been loaded."""
        self.notes: dict[str, str] = {}
        self._settings = settings
        self._after_loading = after_loading
        self._scorers: dict[str, Scorer] = {}
        self._challengers: dict[str, _Challenger] = {}
        self._refused: dict[tuple[str, str, str], tuple[float, ModelTampered]] = {}
        self._failures: dict[str, tuple[float, JinkongError]] = {}
        self._loading = threading.Lock()
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    def ready(self, name: str = MODEL_NAME) -> Scorer | None:
        """The scorer of a model's champion if it is loaded already."""
        return self._scorers.get(name)

    def chosen(self, name: str, party_id: str | None) -> Scorer | None:
        """Who answers for a party if loaded already: the challenger for its share of the parties, else the champion.

        The draw depends on model, challenger and party alone, so that a party is always answered by the same.
        """
        tried = self._challengers.get(name)
        if tried is not None and party_id is not None and tried.answers_for(party_id):
            return tried.scorer
        return self._scorers.get(name)

    def challenged(self) -> list[str]:
        """The loaded models that have a challenger."""
        return list(self._challengers)

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
                    self._put(name, self._loaded(name))
                except JinkongError as error:
                    self._remember(name, error)
                    raise
            return self._scorers[name]

    def version(self, name: str, version: str, sha256: str) -> RegisteredModel:
        """A version of a model, champion or not: what answered when a past score was given.

        Raises:
            ModelTampered: the registry's version is not the one of this hash.
            RegistryUnavailable: it does not answer, or has no such version.
        """
        current = self._scorers.get(name)
        if current is not None and current.registered.sha256 == sha256:
            return current.registered
        found = self._elsewhere(_version_from_registry, name, version)
        if found.sha256 != sha256:
            raise ModelTampered(
                f"Version {version} of '{name}' is not the one that answered then: its hash is another."
            )
        return found

    def watch(self) -> None:
        """Look at the registry every few seconds from now on, in a thread, until ``close``."""
        self._watcher = threading.Thread(target=self._watch, name="models", daemon=True)
        self._watcher.start()

    def refresh(self) -> None:
        """Replace each model whose champion is another now; a new one that cannot be used changes nothing."""
        for name, current in list(self._scorers.items()):
            try:
                mark = champion_mark(self._settings, name)
                there = current.registered
                if mark is not None and (mark.version, mark.sha256) == (there.version, there.sha256):
                    self.notes.pop(name, None)
                else:
                    with self._loading:
                        self._put(name, self._loaded(name))
                self._look_for_challenger(name)
            except RegistryUnavailable as error:
                self.notes[name] = f"{error} Version {current.registered.version} goes on."
            except JinkongError as error:
                # The alias was withdrawn: nobody answers for this model any more.
                self._remember(name, error)
                del self._scorers[name]
                self._challengers.pop(name, None)

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._settings.model_refresh_seconds):
            try:
                self.refresh()
            except Exception:
                # What nobody thought of must not end the watch: the next look may go well.
                _LOG.exception("The registry's champions could not be looked at")

    def _look_for_challenger(self, name: str) -> None:
        mark = champion_mark(self._settings, name, CHALLENGER)
        tried = self._challengers.get(name)
        note = f"{name} challenger"
        if mark is None or mark.version == self._scorers[name].registered.version:
            self._challengers.pop(name, None)
            self.notes.pop(note, None)
            return
        if tried is not None and (tried.mark.version, tried.mark.sha256) == (mark.version, mark.sha256):
            self._challengers[name] = replace(tried, mark=mark)
            return
        try:
            registered = self._fetched(name, mark, _version_from_registry, mark.version)
            self._challengers[name] = _Challenger(mark, self._scorer_of(registered))
        except JinkongError as error:
            # The champion answers everybody.
            self._challengers.pop(name, None)
            self.notes[note] = f"The challenger, version {mark.version}, is not used: {error}"
            return
        self.notes.pop(note, None)
        self._after_loading()

    def _put(self, name: str, scorer: Scorer) -> None:
        self._scorers[name] = scorer
        self._failures.pop(name, None)
        self._after_loading()

    def _loaded(self, name: str) -> Scorer:
        copy = deployed(self._settings, name)
        try:
            registered = self._champion(name, copy)
            scorer = self._scorer_of(registered)
        except _UNUSABLE as error:
            current = self._scorers.get(name)
            last_good = current or (None if copy is None else self._scorer_of(copy))
            if last_good is None:
                raise
            self.notes[name] = f"{error} Version {last_good.registered.version} goes on."
            return last_good
        self.notes.pop(name, None)
        if registered is not copy:
            # Without a copy the next start takes longer, which is no reason not to serve.
            with contextlib.suppress(OSError):
                deploy(self._settings, registered)
        return scorer

    def _champion(self, name: str, copy: RegisteredModel | None) -> RegisteredModel:
        mark = champion_mark(self._settings, name)
        if mark is None:
            raise NoChampion(
                f"The registry has no model '{name}' with the alias '{CHAMPION}'; train one, then have it approved: "
                f"`jinkong models approve {name}`."
            )
        if copy is not None and mark.approved_by and (mark.version, mark.sha256) == (copy.version, copy.sha256):
            return copy
        return self._fetched(name, mark, _champion_from_registry)

    def _fetched(self, name: str, mark: Mark, fetch: Callable[..., RegisteredModel], *asked: str) -> RegisteredModel:
        """A version from the registry; one that was not what was registered is not fetched again at every look.

        To fetch takes a process of its own that imports MLflow: seconds of work.
        """
        key = (name, mark.version, mark.sha256)
        refused = self._refused.get(key)
        if refused is not None and time.monotonic() - refused[0] < _AGAIN_SECONDS:
            raise refused[1]
        try:
            return self._elsewhere(fetch, name, *asked)
        except ModelTampered as error:
            if len(self._refused) >= _MOST_MODELS:
                self._refused.clear()
            self._refused[key] = (time.monotonic(), error)
            raise

    def _elsewhere(self, fetch: Callable[..., RegisteredModel], *asked: str) -> RegisteredModel:
        if "mlflow" in sys.modules:
            return fetch(self._settings, *asked)
        # MLflow's import would hold up every request for seconds, and its memory would stay.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            return other.submit(fetch, self._settings, *asked).result()

    def _scorer_of(self, registered: RegisteredModel) -> Scorer:
        # A model of a table has columns that no party has online.
        by_party = scores_parties(registered.name)
        return Scorer(registered, online_reader(self._settings, registered.model.features) if by_party else None)

    def _remember(self, name: str, error: JinkongError) -> None:
        # Names come from callers: what is remembered of them is bounded.
        if len(self._failures) >= _MOST_MODELS:
            self._failures.clear()
        self._failures[name] = (time.monotonic(), error)


def _champion_from_registry(settings: Settings, name: str) -> RegisteredModel:
    from training import champion  # noqa: PLC0415 - imports MLflow

    return champion(settings, name)


def _version_from_registry(settings: Settings, name: str, version: str) -> RegisteredModel:
    from training import model_version  # noqa: PLC0415 - imports MLflow

    return model_version(version, settings, name)

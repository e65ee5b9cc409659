"""The scorer: one model, loaded once, that turns parties and rows into probabilities, scores and their reasons."""

import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from features import FeatureStoreUnavailable, OnlineReader, OnlineRows, UnknownParty
from group.errors import InputError, JinkongError
from training import (
    Explainer,
    ReasonBook,
    RegisteredModel,
    WeighedReason,
    WrongInput,
    score_points,
)
from training.scale import MASTER_SCALE, grade_places

_AWAY_SECONDS: Final = 1.0
"""How long a store that did not answer is not asked again."""

Value = float | str | bool | None
Matrix = npt.NDArray[np.float64]


class WrongFeatureRow(InputError):
    """A feature row that is not the model's: ``faults`` says for each name what is wrong with it."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {fault}" for name, fault in faults.items()))
        self.faults = dict(faults)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a company wants scored: a party as it sees it now, or a row of features."""

    legal_entity: str
    party_id: str | None = None
    features: Mapping[str, Value] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and all that it was computed from: enough to compute it again.

    ``values`` are those of the model's ``read_columns``, in their order; unknown ones are None or NaN, which is null on
    record. ``score`` and ``grade`` are those of a
    probability of default; a model of responses has none.
    """

    values: list[Value]
    features_as_of: datetime | None
    probability: float
    score: int | None
    grade: str | None
    reasons: list[WeighedReason]


@dataclass(frozen=True, slots=True)
class _Read:
    """What is to be scored: the row as the trees take it, and as it is put on record."""

    row: npt.NDArray[np.float64]
    values: list[Value]
    as_of: datetime | None


class Scorer:
    """Scores with one model. Safe to share between threads."""

    def __init__(self, registered: RegisteredModel, reader: OnlineReader | None = None) -> None:
        """Use ``registered`` on the online features that ``reader`` reads in the model's order.

        Without a reader, on rows alone.
        """
        self.registered = registered
        self.model = registered.model
        self._reader = reader
        self._columns = self.model.read_columns
        self._known = frozenset(self._columns)
        self._explainer = Explainer(self.model.booster)
        self._book = ReasonBook(self.model)
        self._away: FeatureStoreUnavailable | None = None
        self._away_until = 0.0

    def score(self, asked: Sequence[Asked]) -> list[Scored | JinkongError]:
        """Score each of ``asked``, or say why it cannot be.

        The answer of each is its score, or ``UnknownParty`` where the company has no features of it, or
        ``WrongFeatureRow`` where a column is missing, is none of the model's, or holds a value of another kind.

        Raises:
            FeatureStoreUnavailable: parties were asked for, and the online store does not answer.
        """
        read = self._read(asked)
        usable = [given for given in read if isinstance(given, _Read)]
        scored = iter(self.score_rows(np.array([given.row for given in usable]), usable) if usable else ())
        return [next(scored) if isinstance(given, _Read) else given for given in read]

    def score_values(self, rows: Sequence[Sequence[Value]]) -> list[Scored]:
        """The scores of rows as they were put on record.

        Raises:
            WrongFeatureRow: one is not the model's.
        """
        asked = []
        for values in rows:
            if len(values) != len(self._columns):
                raise WrongFeatureRow({"features": f"has {len(values)} values, not {len(self._columns)}"})
            asked.append(Asked("", features=dict(zip(self._columns, values, strict=True))))
        again: list[Scored] = []
        for scored in self.score(asked):
            if isinstance(scored, JinkongError):
                raise scored
            again.append(scored)
        return again

    def score_rows(self, rows: Matrix, read: Sequence[_Read]) -> list[Scored]:
        """Scores of encoded rows ``(n, k)`` that were read as ``read`` says."""
        explained = self._explainer.explained(rows)
        probability = self.model.calibration.probability(explained.raw_scores)
        reasons = self._book.reasons_for(explained.contributions)
        credit = self.model.task == "credit"
        nothing = [None] * len(read)
        points = score_points(probability).tolist() if credit else nothing
        grades = [MASTER_SCALE[place].name for place in grade_places(probability)] if credit else nothing
        return [
            Scored(given.values, given.as_of, pd, score, grade, why)
            for given, pd, score, grade, why in zip(read, probability.tolist(), points, grades, reasons, strict=True)
        ]

    def _read(self, asked: Sequence[Asked]) -> list[_Read | JinkongError]:
        parties = [(one.legal_entity, one.party_id) for one in asked if one.party_id is not None]
        online = iter(self._online(parties) if parties else ())
        return [next(online) if one.party_id is not None else self._given(one.features or {}) for one in asked]

    def _online(self, parties: Sequence[tuple[str, str]]) -> list[_Read | JinkongError]:
        if self._reader is None:
            return [UnknownParty(f"'{self.registered.name}' scores rows of features, not parties.")] * len(parties)
        online = self._asked(self._reader, parties)
        if np.isinf(online.values).any():
            raise FeatureStoreUnavailable("The online store holds a value without bounds; run `jinkong features`.")
        return [
            _Read(row, values, as_of)
            if found
            else UnknownParty(f"'{legal_entity}' has no features of party '{party_id}'.")
            for (legal_entity, party_id), row, values, found, as_of in zip(
                parties, online.values, online.values.tolist(), online.found.tolist(), online.as_of, strict=True
            )
        ]

    def _asked(self, reader: OnlineReader, parties: Sequence[tuple[str, str]]) -> OnlineRows:
        # A store that hangs takes its time to be known as away: not everybody who asks has to wait for that.
        if self._away is not None and time.monotonic() < self._away_until:
            raise self._away
        try:
            found = reader.read(parties)
        except FeatureStoreUnavailable as error:
            self._away, self._away_until = error, time.monotonic() + _AWAY_SECONDS
            raise
        self._away = None
        return found

    def _given(self, features: Mapping[str, Value]) -> _Read | JinkongError:
        faults = {name: "is missing; give null if it is unknown" for name in self._columns if name not in features}
        faults |= {
            name: f"is no feature of the model{self._nearest(name)}" for name in features if name not in self._known
        }
        if self._reader is not None:
            # The group's own features are numbers; a table's column may hold true and false.
            faults |= {name: "is not a number" for name, value in features.items() if isinstance(value, bool)}
        if faults:
            return WrongFeatureRow(faults)
        try:
            [row] = self.model.encoded([features])
        except WrongInput as error:
            return WrongFeatureRow({error.name: f"is not {error.wanted}"})
        return _Read(row, [features[name] for name in self._columns], None)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._columns, n=1)
        return f"; the nearest is '{near[0]}'" if near else ""

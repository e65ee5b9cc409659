"""The scorer: one model, loaded once, that turns parties and rows into probabilities, scores and their reasons."""

import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from features import FeatureStoreUnavailable, OnlineReader, OnlineRows, UnknownParty
from group.errors import InputError, JinkongError
from serving.scored import Matrix, Scored, ScoredColumns, Value
from training import (
    Explainer,
    ReasonBook,
    Reasons,
    RegisteredModel,
    WrongInput,
    score_points,
)
from training.scale import MASTER_SCALE, grade_places

_AWAY_SECONDS: Final = 1.0
"""How long a store that did not answer is not asked again."""

_NO_ROW: Final[Matrix] = np.empty((0, 0))


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
        outcomes: dict[int, Scored | JinkongError] = {}
        parties = {
            place: (one.legal_entity, one.party_id) for place, one in enumerate(asked) if one.party_id is not None
        }
        if parties:
            outcomes |= _by_place(list(parties), self.score_parties(list(parties.values())))
        if len(parties) < len(asked):
            rows = {place: one.features or {} for place, one in enumerate(asked) if place not in parties}
            outcomes |= _by_place(list(rows), self.score_rows(list(rows.values())))
        return [outcomes[place] for place in range(len(asked))]

    def score_parties(self, parties: Sequence[tuple[str, str]]) -> ScoredColumns:
        """Score ``(legal_entity, party_id)`` pairs, each as the company sees the party now.

        Raises:
            FeatureStoreUnavailable: the online store does not answer.
        """
        if self._reader is None:
            none = UnknownParty(f"'{self.registered.name}' scores rows of features, not parties.")
            return self._scored([], dict.fromkeys(range(len(parties)), none), _NO_ROW, [])
        online = self._asked(self._reader, parties)
        if np.isinf(online.values).any():
            raise FeatureStoreUnavailable("The online store holds a value without bounds; run `jinkong features`.")
        errors: dict[int, JinkongError] = {}
        for place in np.flatnonzero(~online.found).tolist():
            legal_entity, party_id = parties[place]
            errors[place] = UnknownParty(f"'{legal_entity}' has no features of party '{party_id}'.")
        if not errors:
            return self._scored(list(range(len(parties))), errors, online.values, online.as_of)
        places = np.flatnonzero(online.found).tolist()
        return self._scored(places, errors, online.values[places], [online.as_of[place] for place in places])

    def score_rows(self, rows: Sequence[Mapping[str, Value]]) -> ScoredColumns:
        """Score rows of features by name."""
        given = [self._given(row) for row in rows]
        errors = {place: row for place, row in enumerate(given) if isinstance(row, JinkongError)}
        places = [place for place in range(len(rows)) if place not in errors]
        values = [[rows[place][name] for name in self._columns] for place in places]
        encoded = [row for row in given if not isinstance(row, JinkongError)]
        return self._scored(places, errors, np.concatenate(encoded or [_NO_ROW]), [None] * len(places), values)

    def score_values(self, rows: Sequence[Sequence[Value]]) -> ScoredColumns:
        """The scores of rows as they were put on record.

        Raises:
            WrongFeatureRow: one is not the model's.
        """
        for values in rows:
            if len(values) != len(self._columns):
                raise WrongFeatureRow({"features": f"has {len(values)} values, not {len(self._columns)}"})
        scored = self.score_rows([dict(zip(self._columns, values, strict=True)) for values in rows])
        for error in scored.errors.values():
            raise error
        return scored

    def _scored(
        self,
        places: list[int],
        errors: dict[int, JinkongError],
        rows: Matrix,
        as_of: list[datetime | None],
        values: list[list[Value]] | None = None,
    ) -> ScoredColumns:
        """Scores of rows ``(n, k)`` as the trees take them; ``values`` if they were given otherwise."""
        seen = rows if values is None else values
        if not places:
            return ScoredColumns(places, errors, seen, as_of, [], [], [], Reasons((), [], [], []))
        explained = self._explainer.explained(rows)
        probability = self.model.calibration.probability(explained.raw_scores)
        credit, nothing = self.model.task == "credit", [None] * len(places)
        points = score_points(probability).tolist() if credit else nothing
        grades = [MASTER_SCALE[place].name for place in grade_places(probability)] if credit else nothing
        reasons = self._book.reasons_for(explained.contributions)
        return ScoredColumns(places, errors, seen, as_of, probability.tolist(), points, grades, reasons)

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

    def _given(self, features: Mapping[str, Value]) -> Matrix | JinkongError:
        """One row as the trees take it, ``(1, k)``."""
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
            return self.model.encoded([features])
        except WrongInput as error:
            return WrongFeatureRow({error.name: f"is not {error.wanted}"})

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._columns, n=1)
        return f"; the nearest is '{near[0]}'" if near else ""


def _by_place(places: Sequence[int], columns: ScoredColumns) -> dict[int, Scored | JinkongError]:
    """The outcome of each of those asked for, who stand at ``places`` among all."""
    outcomes: dict[int, Scored | JinkongError] = {places[at]: error for at, error in columns.errors.items()}
    return outcomes | {places[at]: scored for at, scored in zip(columns.places, columns.each(), strict=True)}

"""The scorer: one champion, loaded once, that turns a party or a row into a probability, a score and its reasons."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from features import OnlineReader, UnknownParty
from group.audit import canonical_json
from group.errors import InputError
from training import (
    Explainer,
    ModelTampered,
    ReasonBook,
    RegisteredModel,
    ScoringModel,
    WeighedReason,
    WrongInput,
    grade_of,
    score_points,
)

Value = float | str | bool | None


class WrongFeatureRow(InputError):
    """A feature row that is not the model's: ``faults`` says for each name what is wrong with it."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {fault}" for name, fault in faults.items()))
        self.faults = dict(faults)


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and all that it was computed from: enough to compute it again.

    ``score`` and ``grade`` are those of a probability of default; a model of responses has none.
    """

    features: dict[str, Value]
    features_as_of: datetime | None
    probability: float
    score: int | None
    grade: str | None
    reasons: list[WeighedReason]


class Scorer:
    """Scores with one model. Safe to share between threads."""

    def __init__(self, registered: RegisteredModel, reader: OnlineReader | None) -> None:
        """Use ``registered`` on the online features that ``reader`` reads in the model's order.

        Without a reader, on rows alone.
        """
        self.registered = registered
        self._reader = reader
        self._columns = registered.model.read_columns
        self._reasoning = _Reasoning(registered.model)

    def score_party(self, legal_entity: str, party_id: str) -> Scored:
        """Score a party by what the company sees of it now.

        Raises:
            UnknownParty: the company has no features of the party.
        """
        if self._reader is None:
            raise UnknownParty(f"'{self.registered.name}' scores rows of features, not parties.")
        online = self._reader.read([(legal_entity, party_id)])
        if not online.found[0]:
            raise UnknownParty(f"'{legal_entity}' has no features of party '{party_id}'.")
        row = online.values
        seen: dict[str, Value] = {
            name: None if np.isnan(row[0, place]) else float(row[0, place])
            for place, name in enumerate(self.registered.model.features)
        }
        return self._reasoning.scored(row, seen, online.as_of[0])

    def score_features(self, features: Mapping[str, Value]) -> Scored:
        """Score a full row, null for unknown values.

        Raises:
            WrongFeatureRow: a column is missing, is none of the model's, or holds a value of another kind.
        """
        faults = {name: "is missing; give null if it is unknown" for name in self._columns if name not in features}
        faults |= {
            name: f"is no feature of the model{self._nearest(name)}" for name in features if name not in self._columns
        }
        if self._reader is not None:
            # The group's own features are numbers; a table's column may hold true and false.
            faults |= {name: "is not a number" for name, value in features.items() if isinstance(value, bool)}
        if faults:
            raise WrongFeatureRow(faults)
        try:
            row = self.registered.model.encoded([features])
        except WrongInput as error:
            raise WrongFeatureRow({error.name: f"is not {error.wanted}"}) from None
        return self._reasoning.scored(row, {name: features[name] for name in self._columns}, None)

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._columns, n=1)
        return f"; the nearest is '{near[0]}'" if near else ""


class _Reasoning:
    """A model with its explanations ready: tables of what its leaves contribute, and the words."""

    def __init__(self, model: ScoringModel) -> None:
        self._model = model
        self._explainer = Explainer(model.booster)
        self._book = ReasonBook(model)

    def scored(self, row: npt.NDArray[np.float64], seen: dict[str, Value], as_of: datetime | None) -> Scored:
        probability = self._model.probability(row)
        credit = self._model.task == "credit"
        return Scored(
            features=seen,
            features_as_of=as_of,
            probability=float(probability[0]),
            score=int(score_points(probability)[0]) if credit else None,
            grade=grade_of(float(probability[0])) if credit else None,
            reasons=self._book.reasons_for(self._explainer.contributions(row)[0]),
        )


def audit_payload(request: Mapping[str, Any], registered: RegisteredModel, scored: Scored) -> dict[str, Any]:
    """What the audit log keeps of a score: what was asked, what was seen, which model answered what."""
    return {
        "request": dict(request),
        "features": scored.features,
        "features_as_of": scored.features_as_of.isoformat() if scored.features_as_of else None,
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        **_answer(scored),
    }


def replay(payload: str, registered: RegisteredModel) -> str:
    """Score again what an audit record's ``payload`` says was seen, and return the payload that this gives.

    Equal texts mean that the decision can be reproduced to the last bit, its reasons included.

    Raises:
        ModelTampered: ``registered`` is not the model that answered then.
    """
    seen = json.loads(payload)
    if seen["model"]["sha256"] != registered.sha256:
        raise ModelTampered(
            f"The record was scored by version {seen['model']['version']} of '{seen['model']['name']}' with SHA-256 "
            f"{seen['model']['sha256']}; version {registered.version} is another model."
        )
    row = registered.model.encoded([seen["features"]])
    return canonical_json(seen | _answer(_Reasoning(registered.model).scored(row, seen["features"], None)))


def _answer(scored: Scored) -> dict[str, Any]:
    return {
        "probability": scored.probability,
        "score": scored.score,
        "grade": scored.grade,
        "reasons": [asdict(reason) for reason in scored.reasons],
    }

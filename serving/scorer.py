"""The scorer: one champion, loaded once, that turns a party or a feature row into a PD and a score."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from features import OnlineReader, UnknownParty
from group.audit import canonical_json
from group.errors import InputError
from training import ModelTampered, RegisteredModel, score_points


class WrongFeatureRow(InputError):
    """A feature row that is not the model's: ``faults`` says for each name what is wrong with it."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {fault}" for name, fault in faults.items()))
        self.faults = dict(faults)


@dataclass(frozen=True, slots=True)
class Scored:
    """A score and all that it was computed from: enough to compute it again."""

    features: dict[str, float | None]
    features_as_of: datetime | None
    probability_of_default: float
    score: int


class Scorer:
    """Scores with one model. Safe to share between threads."""

    def __init__(self, registered: RegisteredModel, reader: OnlineReader) -> None:
        """Use ``registered`` on the online features that ``reader`` reads in the model's order."""
        self.registered = registered
        self._reader = reader
        self._places = {name: place for place, name in enumerate(registered.model.features)}

    def score_party(self, legal_entity: str, party_id: str) -> Scored:
        """Score a party by what the company sees of it now.

        Raises:
            UnknownParty: the company has no features of the party.
        """
        online = self._reader.read([(legal_entity, party_id)])
        if not online.found[0]:
            raise UnknownParty(f"'{legal_entity}' has no features of party '{party_id}'.")
        return self._scored(online.values, online.as_of[0])

    def score_features(self, features: Mapping[str, float | None]) -> Scored:
        """Score a full feature row, null for unknown values.

        Raises:
            WrongFeatureRow: a feature is missing, or one is given that the model does not have.
        """
        faults = {name: "is missing; give null if it is unknown" for name in self._places if name not in features}
        faults |= {
            name: f"is no feature of the model{self._nearest(name)}" for name in features if name not in self._places
        }
        if faults:
            raise WrongFeatureRow(faults)
        row = np.full((1, len(self._places)), np.nan)
        for name, value in features.items():
            if value is not None:
                row[0, self._places[name]] = value
        return self._scored(row, None)

    def _scored(self, row: npt.NDArray[np.float64], as_of: datetime | None) -> Scored:
        pd = self.registered.model.probability(row)
        return Scored(
            features={
                name: None if np.isnan(row[0, place]) else float(row[0, place]) for name, place in self._places.items()
            },
            features_as_of=as_of,
            probability_of_default=float(pd[0]),
            score=int(score_points(pd)[0]),
        )

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._places, n=1)
        return f"; the nearest is '{near[0]}'" if near else ""


def audit_payload(request: Mapping[str, Any], registered: RegisteredModel, scored: Scored) -> dict[str, Any]:
    """What the audit log keeps of a score: what was asked, what was seen, which model answered what."""
    return {
        "request": dict(request),
        "features": scored.features,
        "features_as_of": scored.features_as_of.isoformat() if scored.features_as_of else None,
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        "probability_of_default": scored.probability_of_default,
        "score": scored.score,
    }


def replay(payload: str, registered: RegisteredModel) -> str:
    """Score again what an audit record's ``payload`` says was seen, and return the payload that this gives.

    Equal texts mean that the decision can be reproduced to the last bit.

    Raises:
        ModelTampered: ``registered`` is not the model that answered then.
    """
    seen = json.loads(payload)
    if seen["model"]["sha256"] != registered.sha256:
        raise ModelTampered(
            f"The record was scored by version {seen['model']['version']} of '{seen['model']['name']}' with SHA-256 "
            f"{seen['model']['sha256']}; version {registered.version} is another model."
        )
    row = np.array(
        [[np.nan if value is None else value for value in (seen["features"][n] for n in registered.model.features)]]
    )
    pd = registered.model.probability(row)
    again = seen | {"probability_of_default": float(pd[0]), "score": int(score_points(pd)[0])}
    return canonical_json(again)

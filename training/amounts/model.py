"""A model of an amount: a weighted sum of what boosters answer, or a line."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """``weight`` times a booster's answer.

    With ``contact``, that value is the booster's last column, after the model's features.
    """

    booster: lgb.Booster
    weight: float = 1.0
    contact: float | None = None

    def answer(self, rows: Matrix) -> Vector:
        """What the term adds to each of the rows ``(n, k)``."""
        if self.contact is not None:
            rows = np.column_stack([rows, np.full(len(rows), self.contact)])
        return self.weight * np.asarray(self.booster.predict(rows))


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line in the features, ``(k,)``; a missing value counts as ``missing``."""

    missing: tuple[float, ...]
    slopes: tuple[float, ...]
    intercept: float

    def answer(self, rows: Matrix) -> Vector:
        """Its value at each of the rows ``(n, k)``."""
        known = np.where(np.isnan(rows), np.asarray(self.missing), rows)
        return np.asarray(known @ np.asarray(self.slopes) + self.intercept)


@dataclass(frozen=True)
class AmountModel:
    """What is asked of rows ``(n, k)`` in the order of ``features``: the sum of the terms and the line.

    Attributes:
        task: what the amount is of, such as ``uplift`` or ``customer_value``.
        features: names of the k columns.
        terms: boosters.
        line: a straight part.
        method: how it was found, for people.
    """

    task: str
    features: tuple[str, ...]
    terms: tuple[Term, ...] = ()
    line: Line | None = None
    method: str = ""

    @cached_property
    def trees(self) -> int:
        """Trees of all its boosters, each counted once."""
        return sum(booster.num_trees() for booster in self._boosters)

    @cached_property
    def _boosters(self) -> list[lgb.Booster]:
        return list({id(term.booster): term.booster for term in self.terms}.values())

    def amount(self, rows: Matrix) -> Vector:
        """Amounts ``(n,)``."""
        parts = [term.answer(rows) for term in self.terms]
        if self.line is not None:
            parts.append(self.line.answer(rows))
        return np.asarray(np.sum(parts, axis=0)) if parts else np.zeros(len(rows))

    def to_texts(self) -> tuple[str, str]:
        """The model as two texts of JSON, which is how it is stored: LightGBM's own texts, and the rest."""
        places = {id(booster): place for place, booster in enumerate(self._boosters)}
        parameters: dict[str, Any] = {
            "task": self.task,
            "method": self.method,
            "features": list(self.features),
            "terms": [
                {"booster": places[id(term.booster)], "weight": term.weight, "contact": term.contact}
                for term in self.terms
            ],
            "line": None if self.line is None else asdict(self.line),
        }
        boosters = [booster.model_to_string(num_iteration=-1) for booster in self._boosters]
        return json.dumps(boosters), json.dumps(parameters, indent=2, ensure_ascii=False)

    @classmethod
    def from_texts(cls, boosters: str, parameters: str) -> Self:
        """The model that ``to_texts`` wrote; its amounts are equal to the bit."""
        content = json.loads(parameters)
        read: Sequence[lgb.Booster] = [lgb.Booster(model_str=text) for text in json.loads(boosters)]
        line = content["line"]
        return cls(
            task=content["task"],
            features=tuple(content["features"]),
            terms=tuple(Term(read[term["booster"]], term["weight"], term["contact"]) for term in content["terms"]),
            line=None if line is None else Line(tuple(line["missing"]), tuple(line["slopes"]), line["intercept"]),
            method=content["method"],
        )

"""A scoring model: trees, the columns they ask for, and the calibration of what they answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Self, Union

import numpy as np
import numpy.typing as npt

from training.calibration import Calibration
from training.inputs import Input, Value, numbers
from training.loaded_booster import LoadedBooster

if TYPE_CHECKING:
    import lightgbm as lgb

    from training.compiled_booster import CompiledBooster

Booster = Union["lgb.Booster", LoadedBooster, "CompiledBooster"]
"""One that was grown here, one that was read, or one that was compiled."""

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

MODEL_NAME: Final = "credit_pd"
"""The group's own credit model, under which it is registered."""

OWN_NAMES: Final = (
    MODEL_NAME, "response", "uplift", "customer_value", "loss_given_default", "exposure_at_default", "application_pd",
)  # fmt: skip
"""Models of the group's own data; no table's model takes one of these names, nor one of a segment's."""


def scores_parties(name: str) -> bool:
    """Whether a model is of the features that parties have online: the pooled credit model, or one of a segment."""
    return name == MODEL_NAME or name.startswith(f"{MODEL_NAME}-")


Task = Literal["credit", "response"]
"""What the probability is of: a default (more is worse) or a response (more is better)."""


@dataclass(frozen=True)
class ScoringModel:
    """A booster, its inputs in order, and its calibration: all that a probability needs."""

    booster: Booster
    inputs: tuple[Input, ...]
    calibration: Calibration
    task: Task = "credit"

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(given.name for given in self.inputs)

    @cached_property
    def read_columns(self) -> tuple[str, ...]:
        """The columns a caller gives: what the inputs, the series and the dates counted back are made of."""
        return tuple(dict.fromkeys(column for given in self.inputs for column in given.reads))

    def raw_scores(self, rows: Matrix) -> Vector:
        """The trees' sums ``(n,)`` of encoded rows ``(n, k)`` in the order of ``inputs``, NaN for missing."""
        return np.asarray(self.booster.predict(rows, raw_score=True))

    def probability(self, rows: Matrix) -> Vector:
        """Calibrated probabilities ``(n,)`` of encoded rows ``(n, k)``."""
        return self.calibration.probability(self.raw_scores(rows))

    def encoded(self, rows: Sequence[Mapping[str, Value]]) -> Matrix:
        """Rows of named values as ``(n, k) float64``.

        Raises:
            WrongInput: a value is of another kind than its column.
        """
        return np.array([[given.encoded(row) for given in self.inputs] for row in rows], np.float64).reshape(
            len(rows), len(self.inputs)
        )

    def to_texts(self) -> tuple[str, str]:
        """The model as LightGBM text and JSON, which is how it is stored: nothing is pickled."""
        parameters: dict[str, Any] = {
            "task": self.task,
            "features": list(self.features),
            "inputs": [given.as_json() for given in self.inputs],
            "calibration": self.calibration.as_json(),
        }
        return self.booster.model_to_string(), json.dumps(parameters, indent=2, ensure_ascii=False)

    @classmethod
    def from_texts(cls, booster: str, parameters: str) -> Self:
        """The model that ``to_texts`` wrote; its predictions are equal to the bit."""
        content = json.loads(parameters)
        if "inputs" not in content:
            return cls(LoadedBooster(booster), numbers(content["features"]), _platts_scaling(content))
        return cls(
            LoadedBooster(booster),
            tuple(Input.of_json(given) for given in content["inputs"]),
            Calibration.of_json(content["calibration"]),
            content["task"],
        )


def _platts_scaling(content: Mapping[str, Any]) -> Calibration:
    """The calibration of models before there were inputs: log-odds are ``slope · score + intercept``."""
    return Calibration("beta", content["slope"], content["slope"], content["intercept"])

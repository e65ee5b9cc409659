"""From a booster's raw scores to probabilities: beta or isotonic calibration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

Method = Literal["beta", "isotonic"]

_TILT: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Calibration:
    """An increasing map of raw scores to probabilities, so that ranks stay as they are.

    Beta calibration (Kull, Silva Filho and Flach 2017, equation 8) on p = σ(score): log-odds of the result are
    ``at_low · ln p − at_high · ln(1 − p) + intercept`` with ``at_low, at_high ≥ 0``.

    Isotonic calibration (Zadrozny and Elkan 2002): log-odds run straight between the points ``(scores, log_odds)``,
    the two ends of each block of pooled violators. A millionth of the score is added, so that a block keeps its order.

    ``shift`` is added to the log-odds: the long-run rate over that of the rows it was fitted on.
    """

    method: Method
    at_low: float = 1.0
    at_high: float = 1.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    log_odds: tuple[float, ...] = ()
    shift: float = 0.0

    def calibrated_log_odds(self, scores: Vector) -> Vector:
        """Log-odds ``(n,)`` of raw scores ``(n,)``."""
        if self.method == "beta":
            low, high = beta_terms(scores)
            return np.asarray(self.at_low * low + self.at_high * high + (self.intercept + self.shift))
        level = np.interp(scores, np.asarray(self.scores), np.asarray(self.log_odds))
        return np.asarray(level + _TILT * scores + self.shift)

    def probability(self, scores: Vector) -> Vector:
        """Probabilities ``(n,)`` of raw scores ``(n,)``."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.calibrated_log_odds(scores))))

    def as_json(self) -> dict[str, Any]:
        """What ``of_json`` reads."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """The calibration that ``as_json`` wrote."""
        points = {name: tuple(content[name]) for name in ("scores", "log_odds")}
        return cls(**(dict(content) | points))


def beta_terms(scores: Vector) -> tuple[Vector, Vector]:
    """``ln p`` and ``−ln(1 − p)`` of p = σ(score), without loss far out."""
    return -np.logaddexp(0.0, -scores), np.logaddexp(0.0, scores)

"""Qini: how much more is won by contacting the best first, against contacting at random."""

import numpy as np
import numpy.typing as npt
from sklift.metrics import qini_auc_score
from sklift.metrics import qini_curve as sklift_curve

Vector = npt.NDArray[np.float64]


def qini(uplift: Vector, took_up: Vector, treated: Vector) -> float:
    """The Qini coefficient of scores ``(n,)`` on a randomised experiment (Radcliffe 2007); 1 would be foresight."""
    return float(qini_auc_score(took_up, uplift, treated))


def qini_curve(uplift: Vector, took_up: Vector, treated: Vector) -> tuple[Vector, Vector, Vector]:
    """Share contacted, the best first; purchases caused so far a row; and as many at random. Arrays of equal length."""
    contacted, gained = (np.asarray(part, np.float64) for part in sklift_curve(took_up, uplift, treated))
    share, gain = contacted / len(uplift), gained / len(uplift)
    return share, gain, share * gain[-1]


def qini_of_truth(uplift: Vector, true_uplift: Vector) -> float:
    """The area between the true gain of contacting the best first and that of contacting at random, a row.

    What the Qini coefficient estimates, without its noise: only a simulation knows it.
    """
    gained = np.cumsum(true_uplift[np.argsort(-uplift, kind="stable")])
    share = np.arange(1, len(gained) + 1) / len(gained)
    return float(np.mean(gained - share * gained[-1])) / len(gained)

"""What decisions were like at training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionReference:
    """What decisions are held against.

    Attributes:
        cut: the probability below which the share of training that limits are judged at lies.
        grades: share of each grade at training.
        ratios: selection ratio of each protected attribute at training.
    """

    cut: float
    grades: Sequence[float]
    ratios: Mapping[str, float]

"""Rows that a model has scored, with what became of them and who they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]
Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Encoded rows ``(n, k)``, labels ``(n,)`` of 0 and 1, and the probabilities ``(n,)`` a model gave them.

    Attributes:
        months: the month of each row as ``2025-01``; empty where rows have no time.
        segments: by name, the segment of each row (a company, a kind of customer).
        protected: by name (sex, age band, region), the group of each row, empty text where it is not known.
        parties: whose each row is, where a party may stand there at several instants; empty where each row is alone.
    """

    rows: Matrix
    labels: Vector
    probability: Vector
    months: Texts = field(default_factory=lambda: np.zeros(0, np.str_))
    segments: Mapping[str, Texts] = field(default_factory=dict)
    protected: Mapping[str, Texts] = field(default_factory=dict)
    parties: Texts = field(default_factory=lambda: np.zeros(0, np.str_))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def rows_of_a_party(self) -> float:
        """How many rows a party has in the mean, 1 where each row is alone."""
        return len(self.parties) / len(np.unique(self.parties)) if len(self.parties) else 1.0

    def chosen(self, which: Chosen) -> "ScoredRows":
        """Some of the rows."""
        return replace(
            self,
            rows=self.rows[which],
            labels=self.labels[which],
            probability=self.probability[which],
            months=self.months[which] if len(self.months) else self.months,
            parties=self.parties[which] if len(self.parties) else self.parties,
            segments={name: values[which] for name, values in self.segments.items()},
            protected={name: values[which] for name, values in self.protected.items()},
        )

"""Exact SHAP values of a fixed model, many times as fast as computing them anew for each row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.attribution.kernel import explain
from training.attribution.layout import layout_of
from training.attribution.trees import trees_of
from training.compared_rows import rows_to_compare
from training.model import Booster

Matrix = npt.NDArray[np.float64]

_MOST_BYTES: Final = 192 * 2**20
_ROWS_AT_ONCE: Final = 512
"""Rows that one thread takes in one go."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Raw scores ``(n,)``, equal to the bit to the booster's, and their SHAP values ``(n, k + 1)``."""

    raw_scores: npt.NDArray[np.float64]
    contributions: Matrix


class Explainer:
    """What LightGBM's ``pred_contrib=True`` gives, to rounding: SHAP values by the paths of the trees.

    Made once a model (a second or two), then safe to share between threads.

    Raises:
        NotExplainable: the model has several classes, linear leaves, or averages its trees.
    """

    def __init__(self, booster: Booster, *, most_bytes: int = _MOST_BYTES) -> None:
        """Fill the tables, at most ``most_bytes`` of them; leaves that find no place there are computed each time."""
        trees = trees_of(booster)
        self._layout = layout_of(trees, most_bytes)
        self._booster = booster
        self._columns = int(booster.num_feature())
        self.expected = sum(tree.expected for tree in trees)
        some = rows_to_compare(booster)
        self.scores_alike = np.array_equal(self._explained(some, 1).raw_scores, booster.predict(some, raw_score=True))

    @property
    def table_bytes(self) -> int:
        """Memory of the tables."""
        return int(self._layout.table.nbytes)

    def contributions(self, rows: Matrix, *, threads: int = 1) -> Matrix:
        """SHAP values ``(n, k + 1)`` of rows ``(n, k)`` on the scale of raw scores; the last column is the mean.

        A row's values add up to its raw score.
        """
        return self._explained(rows, threads).contributions

    def explained(self, rows: Matrix, *, threads: int = 1) -> Explained:
        """Raw scores of rows ``(n, k)`` with their SHAP values: the trees are walked once for both."""
        found = self._explained(rows, threads)
        if self.scores_alike:
            return found
        return Explained(np.asarray(self._booster.predict(rows, raw_score=True)), found.contributions)

    def _explained(self, rows: Matrix, threads: int) -> Explained:
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self._columns:
            raise ValueError(f"The model has {self._columns} columns, not {rows.shape[1:]}.")
        scores, out = np.zeros(len(rows)), np.zeros((len(rows), self._columns + 1))
        out[:, -1] = self.expected

        def work(first: int) -> None:
            part = slice(first, first + _ROWS_AT_ONCE)
            explain(rows[part], scores[part], out[part], self._layout)

        _each(work, range(0, len(rows), _ROWS_AT_ONCE), threads)
        return Explained(scores, out)


def _each(work: Callable[[int], None], parts: range, threads: int) -> None:
    if threads == 1 or len(parts) <= 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))

"""Exact SHAP values of a fixed model, many times as fast as computing them anew for each row."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from training.attribution.kernel import add_contributions
from training.attribution.layout import layout_of
from training.attribution.trees import trees_of
from training.model import Booster

Matrix = npt.NDArray[np.float64]

_MOST_BYTES: Final = 192 * 2**20
_ROWS_AT_ONCE: Final = 512
"""Rows that one thread takes in one go."""


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
        self._columns = int(booster.num_feature())
        self.expected = sum(tree.expected for tree in trees)

    @property
    def table_bytes(self) -> int:
        """Memory of the tables."""
        return int(self._layout.table.nbytes)

    def contributions(self, rows: Matrix, *, threads: int = 1) -> Matrix:
        """SHAP values ``(n, k + 1)`` of rows ``(n, k)`` on the scale of raw scores; the last column is the mean.

        A row's values add up to its raw score.
        """
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self._columns:
            raise ValueError(f"The model has {self._columns} columns, not {rows.shape[1:]}.")
        out = np.zeros((len(rows), self._columns + 1))
        out[:, -1] = self.expected

        def work(first: int) -> None:
            part = slice(first, first + _ROWS_AT_ONCE)
            add_contributions(rows[part], out[part], self._layout)

        _each(work, range(0, len(rows), _ROWS_AT_ONCE), threads)
        return out


def _each(work: Callable[[int], None], parts: range, threads: int) -> None:
    if threads == 1 or len(parts) <= 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))

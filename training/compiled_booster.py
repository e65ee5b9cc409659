"""A booster as machine code: large tables are scored at twice LightGBM's own pace, with answers equal to the bit.

treelite reads the trees, tl2cgen writes them as C, and the machine's compiler makes a library of it. That takes a
second or two, so it pays from some hundred thousand rows on. Where there is no compiler, LightGBM goes on.
"""

import logging
import shutil
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from group.libraries import hushed_natively
from training.compared_rows import rows_to_compare
from training.model import Booster, ScoringModel

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

_LOG: Final = logging.getLogger(__name__)

WORTH_COMPILING_ROWS: Final = 300_000
_ROWS_AT_ONCE: Final = 4_000
"""Rows of one call: what is copied for it stays in the processor's cache."""

_UNITS: Final = 8
"""Files that the trees are spread over: one of all of them takes a compiler minutes where trees are large."""


class CompiledBooster:
    """A compiled booster. Safe to share between threads."""

    def __init__(self, booster: Booster, threads: int) -> None:
        """Compile ``booster`` for prediction on so many threads.

        Raises:
            NotCompiled: there is no compiler, or it fails, or the outcome differs from the booster's in a single bit.
        """
        import tl2cgen  # noqa: PLC0415 - whoever scores few rows never pays for it
        import treelite  # noqa: PLC0415

        toolchain = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
        if toolchain is None:
            raise NotCompiled("there is no C compiler")
        self._booster = booster
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="compiled")
        folder = tempfile.mkdtemp(prefix="jinkong-compiled-")
        # A library that others could have written is no library to load: it is made anew each time, and removed.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        text, library = Path(folder) / "booster.txt", Path(folder) / "booster.so"
        text.write_text(booster.model_to_string(num_iteration=-1))
        try:
            with hushed_natively():
                trees = treelite.frontend.load_lightgbm_model(str(text))
                tl2cgen.export_lib(trees, toolchain=toolchain, libpath=library, params={"parallel_comp": _UNITS})
                self._predictor = tl2cgen.Predictor(library, nthread=1)
        except (treelite.TreeliteError, tl2cgen.TL2cgenError, OSError, RuntimeError) as error:
            raise NotCompiled((str(error).strip().splitlines() or [type(error).__name__])[-1]) from None
        self._matrix = tl2cgen.DMatrix
        self._require_the_same()

    def num_feature(self) -> int:
        """Columns of a row."""
        return self._booster.num_feature()

    def num_trees(self) -> int:
        """Trees of the ensemble."""
        return self._booster.num_trees()

    def model_to_string(self, num_iteration: int = -1) -> str:
        """The text that it was compiled from."""
        return self._booster.model_to_string(num_iteration=num_iteration)

    def predict(self, rows: Matrix, *, raw_score: bool = False) -> Vector:
        """Answers ``(n,)`` to rows ``(n, k)``, equal to the bit to those of ``lightgbm.Booster``.

        Raises:
            ValueError: the rows have another number of columns.
        """
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.num_feature():
            raise ValueError(f"The model has {self.num_feature()} columns, not {rows.shape[1:]}.")
        answers = np.empty(len(rows))

        def answer(first: int) -> None:
            some = slice(first, first + _ROWS_AT_ONCE)
            matrix = self._matrix(rows[some], dtype="float64")
            answers[some] = self._predictor.predict(matrix, pred_margin=raw_score).reshape(-1)

        list(self._pool.map(answer, range(0, len(rows), _ROWS_AT_ONCE)))
        return answers

    def _require_the_same(self) -> None:
        rows = rows_to_compare(self._booster)
        if not np.array_equal(self.predict(rows, raw_score=True), self._booster.predict(rows, raw_score=True)):
            raise NotCompiled("what was compiled answers differently")


class NotCompiled(Exception):
    """A booster that stays as it is."""


def for_many_rows(model: ScoringModel, rows: int, threads: int) -> ScoringModel:
    """The model that scores so many rows fastest: compiled where that pays and can be done, or as it is."""
    if rows < WORTH_COMPILING_ROWS:
        return model
    try:
        return replace(model, booster=CompiledBooster(model.booster, threads))
    except NotCompiled as error:
        _LOG.warning("The model is not compiled, and scores at half the pace: %s.", error)
        return model

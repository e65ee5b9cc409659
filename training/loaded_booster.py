"""A booster as read from its text: LightGBM's own library answers, without the Python package around it.

Importing ``lightgbm`` brings scikit-learn, SciPy and pandas, which is seconds and a hundred megabytes for a process
that only scores. The library's C interface is documented and stable (LightGBM, "C API").
"""

import ctypes
import weakref
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import ModelTampered

Matrix = npt.NDArray[np.float64]

_FLOAT64: Final = 1
_ROW_MAJOR: Final = 1
_NORMAL: Final = 0
_RAW_SCORE: Final = 1


class LoadedBooster:
    """What ``lightgbm.Booster(model_str=text)`` is to those who predict with it. Safe to share between threads."""

    def __init__(self, text: str) -> None:
        """Read the model's text.

        Raises:
            ModelTampered: it is no model.
        """
        self._text = text
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        try:
            _checked(
                _library().LGBM_BoosterLoadModelFromString(
                    text.encode(), ctypes.byref(iterations), ctypes.byref(self._handle)
                )
            )
        except _LightGBMRefused as error:
            raise ModelTampered(f"The text is no model of LightGBM: {error}. Train again.") from None
        weakref.finalize(self, _library().LGBM_BoosterFree, self._handle)
        self._trees = iterations.value
        columns = ctypes.c_int()
        _checked(_library().LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(columns)))
        self._columns = columns.value

    def __reduce__(self) -> tuple[type["LoadedBooster"], tuple[str]]:
        """Between processes of ours it travels as its text."""
        return LoadedBooster, (self._text,)

    def num_feature(self) -> int:
        """Columns of a row."""
        return self._columns

    def num_trees(self) -> int:
        """Trees of the ensemble, of one score each."""
        return self._trees

    def model_to_string(self, num_iteration: int = -1) -> str:  # noqa: ARG002 - as lightgbm.Booster asks for it
        """The text that it was read from."""
        return self._text

    def predict(self, rows: Matrix, *, raw_score: bool = False) -> Matrix:
        """Answers ``(n,)`` to rows ``(n, k)``, equal to the bit to those of ``lightgbm.Booster``.

        Raises:
            ValueError: the rows have another number of columns.
        """
        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self._columns:
            raise ValueError(f"The model has {self._columns} columns, not {rows.shape[1:]}.")
        answers = np.empty(len(rows))
        if not len(rows):
            return answers
        count = ctypes.c_int64()
        _checked(
            _library().LGBM_BoosterPredictForMat(
                self._handle, rows.ctypes.data_as(ctypes.c_void_p), _FLOAT64, ctypes.c_int32(len(rows)),
                ctypes.c_int32(self._columns), _ROW_MAJOR, _RAW_SCORE if raw_score else _NORMAL, 0, -1, b"",
                ctypes.byref(count), answers.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
            )
        )  # fmt: skip
        return answers


class _LightGBMRefused(Exception):
    pass


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    found = find_spec("lightgbm")
    if found is None or found.origin is None:
        raise ImportError("lightgbm is not installed")
    [path] = (Path(found.origin).parent / "lib").glob("lib_lightgbm.*")
    library = ctypes.CDLL(str(path))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _checked(status: int) -> None:
    if status != 0:
        raise _LightGBMRefused(_library().LGBM_GetLastError().decode(errors="replace"))

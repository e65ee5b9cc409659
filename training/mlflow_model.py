"""A scoring model as MLflow loads it: this file is stored beside the LightGBM text instead of a pickle.

It stands on lightgbm, mlflow and numpy alone, so that ``mlflow models serve`` and notebooks need nothing of Jinkong.
"""

import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd

Vector = npt.NDArray[np.float64]

_TILT = 1e-6
"""As in ``training.calibration``: keeps the order within a block."""


class ScoringPythonModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Calibrated probabilities of rows."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Read the booster, its inputs and its calibration."""
        self.booster = lgb.Booster(model_file=context.artifacts["booster"])
        self.parameters = json.loads(Path(context.artifacts["parameters"]).read_text())

    def predict(self, model_input: pd.DataFrame) -> Vector:
        """Probabilities ``(n,)`` of rows with the model's columns, in any order."""
        columns = [_encoded(model_input, given) for given in self.parameters["inputs"]]
        scores = self.booster.predict(np.column_stack(columns), raw_score=True)
        return np.asarray(1.0 / (1.0 + np.exp(-_log_odds(np.asarray(scores), self.parameters["calibration"]))))


def _encoded(frame: pd.DataFrame, given: dict[str, Any]) -> Vector:
    if given["kind"] == "series":
        return _statistic(frame[given["columns"]].to_numpy(np.float64), given["statistic"])
    column = frame[given["name"]]
    if given["kind"] == "category":
        places = {text: float(place) for place, text in enumerate(given["categories"])}
        return np.array([places.get(_text(value), np.nan) for value in column], np.float64)
    if given["kind"] == "date":
        days = _days(column)
        return days if "before" not in given else _days(frame[given["before"]]) - days
    return np.asarray(column.to_numpy(np.float64))


def _statistic(columns: npt.NDArray[np.float64], statistic: str) -> Vector:
    """As ``training.inputs.series_statistic``, which a test holds it against."""
    first, second = columns[:, 0], columns[:, 1]
    if statistic == "change":
        return np.asarray(first - second)
    if statistic == "ratio":
        return np.asarray(first / np.maximum(np.abs(second), 1.0))
    there = ~np.isnan(columns)
    count = there.sum(axis=1)
    known = np.where(there, columns, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic == "positive":
            return np.where(count > 0, (known > 0).sum(axis=1), np.nan)
        if statistic in ("largest", "smallest"):
            sign = 1.0 if statistic == "largest" else -1.0
            return np.where(count > 0, sign * np.where(there, sign * columns, -np.inf).max(axis=1), np.nan)
        mean = known.sum(axis=1) / count
        apart = np.where(there, columns - mean[:, None], 0.0)
        if statistic == "mean":
            return np.asarray(mean)
        if statistic == "spread":
            return np.asarray(np.sqrt((apart**2).sum(axis=1) / count))
        steps = np.where(there, np.arange(columns.shape[1], dtype=np.float64), 0.0)
        steps = np.where(there, steps - (steps.sum(axis=1) / count)[:, None], 0.0)
        return np.asarray((apart * steps).sum(axis=1) / (steps**2).sum(axis=1))


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _days(column: "pd.Series[Any]") -> Vector:
    instants = pd.to_datetime(column, utc=True, format="ISO8601")
    return np.asarray((instants - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), np.float64)


def _log_odds(scores: Vector, calibration: dict[str, Any]) -> Vector:
    shift = calibration["shift"]
    if calibration["method"] == "beta":
        low, high = -np.logaddexp(0.0, -scores), np.logaddexp(0.0, scores)
        return np.asarray(
            calibration["at_low"] * low + calibration["at_high"] * high + (calibration["intercept"] + shift)
        )
    level = np.interp(scores, np.asarray(calibration["scores"]), np.asarray(calibration["log_odds"]))
    return np.asarray(level + _TILT * scores + shift)


# MLflow runs this file to load the model, and takes what is set here.
mlflow.models.set_model(ScoringPythonModel())

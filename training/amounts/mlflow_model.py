"""A model of an amount as MLflow loads it: this file is stored beside the LightGBM texts instead of a pickle.

It stands on lightgbm, mlflow and numpy alone.
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


class AmountPythonModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Amounts of rows."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Read the boosters and how they are summed up."""
        texts = json.loads(Path(context.artifacts["booster"]).read_text())
        self.boosters = [lgb.Booster(model_str=text) for text in texts]
        self.parameters = json.loads(Path(context.artifacts["parameters"]).read_text())

    def predict(self, model_input: pd.DataFrame) -> Vector:
        """Amounts ``(n,)`` of rows with the model's columns, in any order."""
        rows = model_input[self.parameters["features"]].to_numpy(np.float64)
        total = np.zeros(len(rows))
        for term in self.parameters["terms"]:
            asked = rows
            if term["contact"] is not None:
                asked = np.column_stack([rows, np.full(len(rows), term["contact"])])
            total += term["weight"] * np.asarray(self.boosters[term["booster"]].predict(asked))
        line: dict[str, Any] | None = self.parameters["line"]
        if line is not None:
            known = np.where(np.isnan(rows), np.asarray(line["missing"]), rows)
            total += known @ np.asarray(line["slopes"]) + line["intercept"]
        return total


mlflow.models.set_model(AmountPythonModel())

"""The credit model as MLflow loads it: this file is stored beside the LightGBM text instead of a pickle.

It stands on lightgbm, mlflow and numpy alone, so that ``mlflow models serve`` and notebooks need nothing of Jinkong.
"""

import json
from pathlib import Path

import lightgbm as lgb
import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd


class CreditPdModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Calibrated probabilities of default of feature rows."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Read the booster and its calibration."""
        self.booster = lgb.Booster(model_file=context.artifacts["booster"])
        self.parameters = json.loads(Path(context.artifacts["parameters"]).read_text())

    def predict(self, model_input: pd.DataFrame) -> npt.NDArray[np.float64]:
        """PD ``(n,)`` of rows with the model's features, in any order of columns."""
        rows = model_input[self.parameters["features"]].to_numpy(np.float64)
        log_odds = self.parameters["slope"] * self.booster.predict(rows, raw_score=True) + self.parameters["intercept"]
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


# MLflow runs this file to load the model, and takes what is set here.
mlflow.models.set_model(CreditPdModel())

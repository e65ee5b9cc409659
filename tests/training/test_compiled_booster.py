"""A compiled booster answers to the bit what LightGBM answers, or is not used."""

import shutil

import lightgbm as lgb
import numpy as np
import pytest

from training import compiled_booster
from training.calibration import Calibration
from training.compiled_booster import CompiledBooster, NotCompiled, for_many_rows
from training.inputs import numbers
from training.loaded_booster import LoadedBooster
from training.model import ScoringModel

COLUMNS = 7


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    random = np.random.default_rng(1)
    rows = random.normal(size=(4_000, COLUMNS))
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[:, 6] = random.integers(0, 9, len(rows))
    labels = (np.nan_to_num(rows[:, 0]) + (rows[:, 6] % 2) + random.normal(size=len(rows)) > 1).astype(float)
    data = lgb.Dataset(rows, labels, categorical_feature=[6])
    grown = lgb.train({"objective": "binary", "verbose": -1, "seed": 1}, data, num_boost_round=30)
    calibration = Calibration("beta", 1.0, 1.0, 0.0)
    return ScoringModel(
        LoadedBooster(grown.model_to_string()), numbers([f"column_{place}" for place in range(COLUMNS)]), calibration
    )


@pytest.mark.parametrize("rows", [0, 1, 4_000, 4_001, 20_000])
def test_it_answers_to_the_bit_what_lightgbm_answers_missing_values_and_categories_too(
    model: ScoringModel, rows: int, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(rows)
    asked = random.normal(size=(rows, COLUMNS)) * 10.0 ** random.integers(-3, 4, size=(rows, COLUMNS))
    asked[random.random(asked.shape) < 0.3] = np.nan
    asked[:, 6] = random.integers(-2, 12, rows)
    compiled = CompiledBooster(model.booster, threads=2)
    assert capfd.readouterr().err == ""
    for raw in (True, False):
        assert np.array_equal(compiled.predict(asked, raw_score=raw), model.booster.predict(asked, raw_score=raw))
    with pytest.raises(ValueError, match="has 7 columns"):
        compiled.predict(asked[:, :3])


def test_only_many_rows_are_worth_a_compiler_and_without_one_lightgbm_goes_on(
    model: ScoringModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    many = compiled_booster.WORTH_COMPILING_ROWS
    assert for_many_rows(model, many - 1, 2) is model
    assert isinstance(for_many_rows(model, many, 2).booster, CompiledBooster)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert for_many_rows(model, many, 2) is model
    assert "there is no C compiler" in caplog.text


def test_one_that_answers_differently_is_not_used(model: ScoringModel) -> None:
    class Another(LoadedBooster):
        def predict(self, rows: np.ndarray, *, raw_score: bool = False) -> np.ndarray:
            return super().predict(rows, raw_score=raw_score) + 1e-15

    with pytest.raises(NotCompiled, match="answers differently"):
        CompiledBooster(Another(model.booster.model_to_string()), 1)

"""Rows on which another way to compute a model has to answer as LightGBM does, to the bit, before it may."""

from typing import Final

import numpy as np
import numpy.typing as npt

from training.model import Booster

Matrix = npt.NDArray[np.float64]

_COMPARED_ROWS: Final = 512


def rows_to_compare(booster: Booster) -> Matrix:
    """Rows of the values that training saw, some beyond, a fifth of them missing.

    LightGBM's text says of each column which: ``[least:largest]`` of numbers, categories with colons between them.
    """
    text = booster.model_to_string()
    [line] = [line for line in text.splitlines() if line.startswith("feature_infos=")]
    random = np.random.default_rng(0)
    rows = np.empty((_COMPARED_ROWS, booster.num_feature()))
    for place, seen in enumerate(line.removeprefix("feature_infos=").split(" ")):
        if seen.startswith("["):
            least, largest = map(float, seen.strip("[]").split(":"))
            span = largest - least
            rows[:, place] = random.uniform(least - span / 10, largest + span / 10, _COMPARED_ROWS)
        else:
            categories = [0.0] if seen == "none" else [float(category) for category in seen.split(":")]
            rows[:, place] = random.choice([*categories, max(categories) + 1], _COMPARED_ROWS)
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows

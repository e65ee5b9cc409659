"""The limits that a model must meet, read from one reviewed file, and what a model's figures say to them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from group.errors import InputError
from training.errors import TrainingError

LIMITS_FILE: Final = Path(__file__).with_name("limits.yaml")

JudgedTask = Literal["credit", "response", "uplift", "amount"]
"""Probabilities of a default or a response, what a contact causes, and amounts (a value, a loss)."""

MEASURES: Final = (
    "test_gini", "test_gini_low", "gini_lost_on_test", "mean_over_rate", "calibration_slope", "red_grades",
    "grade_inversions", "largest_grade_share", "score_psi", "largest_csi", "best_single_auc", "permuted_auc",
    "backward_gain", "selection_ratio_sex", "selection_ratio_region", "selection_ratio_age_band",
    "opportunity_gap_sex", "opportunity_gap_region", "opportunity_gap_age_band", "gini_less_champions",
    "qini", "qini_low", "uplift_of_best_fifth_low", "rank_gini", "mean_over_actual",
    "error_over_naive",
)  # fmt: skip
"""Figures that a limit may be put on."""


class WrongLimits(TrainingError, InputError):
    """The file of limits says something that cannot be judged."""


class Limit(BaseModel):
    """A bound of one figure; ``hard`` ones decide who may become champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    hard: bool
    tasks: tuple[JudgedTask, ...] = Field(min_length=1)
    at_least: float | None = None
    at_most: float | None = None
    between: tuple[float, float] | None = None
    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)
    why: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_bound_of_a_known_measure(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"'{self.measure}' is no measure; those are {', '.join(MEASURES)}")
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.between)) != 1:
            raise ValueError("give one of at_least, at_most, between")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError("the first of between is above the second")
        return self

    @property
    def wanted(self) -> str:
        """The bound in words."""
        if self.between is not None:
            return f"from {self.between[0]:g} to {self.between[1]:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"

    def met_by(self, figure: float) -> bool:
        """Whether a figure is within the bound; one that is no number is not."""
        low, high = self.between or (self.at_least, self.at_most)
        return figure == figure and (low is None or figure >= low) and (high is None or figure <= high)  # noqa: PLR0124


class _SelectedShare(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    credit: Annotated[float, Field(gt=0, lt=1)]
    response: Annotated[float, Field(gt=0, lt=1)]


class Limits(BaseModel):
    """All limits, and the share of rows selected where fairness and swap sets are measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: tuple[Limit, ...]
    selected_share: _SelectedShare

    def share(self, task: JudgedTask) -> float:
        """The share selected by models of a task."""
        return self.selected_share.credit if task == "credit" else self.selected_share.response


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit, the figure that was seen, and whether it is met."""

    measure: str
    en: str
    zh: str
    figure: float
    wanted: str
    hard: bool
    met: bool
    why: str

    def __str__(self) -> str:
        return f"{self.en} is {self.figure:.4f}, wanted is {self.wanted}"


@cache
def read_limits(path: Path = LIMITS_FILE) -> Limits:
    """The limits of a file.

    Raises:
        WrongLimits: the file says something that cannot be judged.
    """
    try:
        return Limits.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        raise WrongLimits(f"{path}: {error}") from None


def limits_sha256(path: Path = LIMITS_FILE) -> str:
    """Of the file, so that a report says by which limits a model was judged."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def judged(figures: Mapping[str, float], limits: Limits, task: str) -> tuple[Verdict, ...]:
    """What the figures say to each limit of the task; limits on figures that are not there are left out."""
    return tuple(
        Verdict(
            measure=limit.measure,
            en=limit.en,
            zh=limit.zh,
            figure=figures[limit.measure],
            wanted=limit.wanted,
            hard=limit.hard,
            met=limit.met_by(figures[limit.measure]),
            why=limit.why,
        )
        for limit in limits.limits
        if task in limit.tasks and limit.measure in figures
    )

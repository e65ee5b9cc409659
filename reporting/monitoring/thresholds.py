"""The thresholds that figures are judged by, read from one reviewed file."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from group.errors import InputError
from reporting.monitoring.errors import MonitoringError

THRESHOLDS_FILE: Final = Path(__file__).with_name("thresholds.yaml")

FindingKind = Literal[
    "broken_feature",
    "skew",
    "sudden_shift",
    "feature_drift",
    "multivariate_drift",
    "prediction_drift",
    "concept_drift",
    "calibration",
    "discrimination",
    "fairness",
]
"""What an alarm may be of."""

Share = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(gt=0)]


class WrongThresholds(MonitoringError, InputError):
    """The file of thresholds says something that cannot be judged by."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DriftThresholds(_Strict):
    """Of the PSI beyond chance."""

    watch: Distance
    act: Distance
    clear: Distance
    clear_periods: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.clear <= self.watch <= self.act:
            raise ValueError("clear, watch and act must not fall in this order")
        return self


class RecentPeriods(_Strict):
    """How many periods just ahead a period is held against too."""

    day: Annotated[int, Field(ge=1, le=90)]
    week: Annotated[int, Field(ge=1, le=26)]
    month: Annotated[int, Field(ge=1, le=12)]


class BrokenThresholds(_Strict):
    """Shares of rows that tell of a broken feed."""

    missing_more_by: Share
    far_outside: Share
    unseen: Share


class Bounds(_Strict):
    """A figure from which an alarm is raised, and one from which its level is."""

    watch: Distance
    act: Distance

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.watch > self.act:
            raise ValueError("watch must not be above act")
        return self


class PerformanceThresholds(_Strict):
    """Of performance, by month."""

    early: Bounds
    calibration: Bounds
    discrimination: Bounds


class MultivariateThresholds(_Strict):
    """Of all columns together."""

    classifier_auc: Annotated[float, Field(gt=0.5, le=1)]
    reconstruction: Annotated[float, Field(gt=1)]


class SkewThresholds(_Strict):
    """Of features computed anew."""

    rows: Annotated[int, Field(ge=1)]
    differing: Share


class DistanceThresholds(_Strict):
    """Of the distance that is shown beside the PSI."""

    wasserstein: Distance
    jensen_shannon: Distance
    p_value: Share


class FairnessThresholds(_Strict):
    """Of selection ratios."""

    ratio: Share
    less_than_training_by: Share


class Retraining(_Strict):
    """What starts a training."""

    on_alarm: bool
    every_days: Annotated[int, Field(ge=1)]


class Thresholds(_Strict):
    """All of the file."""

    least_parties: Annotated[int, Field(ge=2)]
    false_alarms: Annotated[float, Field(gt=0, lt=1)]
    drift: DriftThresholds
    recent: RecentPeriods
    performance: PerformanceThresholds
    fairness: FairnessThresholds
    broken: BrokenThresholds
    sampled_rows: Annotated[int, Field(ge=1_000)]
    multivariate: MultivariateThresholds
    skew: SkewThresholds
    owners: dict[FindingKind, Annotated[str, Field(min_length=1, max_length=80)]]
    retraining: Retraining
    tests_up_to_rows: Annotated[int, Field(ge=0)]
    distances: DistanceThresholds

    @model_validator(mode="after")
    def _all_have_owners(self) -> Self:
        without = [kind for kind in get_args(FindingKind) if kind not in self.owners]
        if without:
            raise ValueError(f"owners: nobody is named for {', '.join(without)}")
        return self


@cache
def read_thresholds(path: Path = THRESHOLDS_FILE) -> Thresholds:
    """The thresholds of a file.

    Raises:
        WrongThresholds: the file is not there, or says something that cannot be judged by.
    """
    try:
        return Thresholds.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise WrongThresholds(f"{path} cannot be read: {error}.") from None
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise WrongThresholds(f"{path}: {told}.") from None


def thresholds_sha256(path: Path = THRESHOLDS_FILE) -> str:
    """Of the file, so that figures say by which thresholds they were judged."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

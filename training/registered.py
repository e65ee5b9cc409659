"""A model as it stands in the registry, and the names under which the registry keeps what belongs to it."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Final, get_args

from training.errors import WrongTask
from training.model import ScoringModel, Task

CHAMPION: Final = "champion"
CANDIDATE: Final = "candidate"
"""The alias of the version that was trained last."""

CHALLENGER: Final = "challenger"
"""The alias of the version that is tried beside the champion."""

BOOSTER_FILE: Final = "booster.txt"
PARAMETERS_FILE: Final = "parameters.json"
REPORT_FILE: Final = "validation/report.json"
REPORT_PAGE_FILE: Final = "validation/report.html"
REFERENCE_FOLDER: Final = "reference"
"""The frame that a version was trained and judged on (``training.reference``)."""

SHA256_TAG: Final = "sha256"
REFERENCE_SHA256_TAG: Final = "reference_sha256"
REPORT_SHA256_TAG: Final = "report_sha256"
TRAINED_BY_TAG: Final = "trained_by"
APPROVED_BY_TAG: Final = "approved_by"
CHALLENGER_SHARE_TAG: Final = "challenger_share"
"""The share of parties that a challenger answers for; 0 where it only scores beside."""


@dataclass(frozen=True)
class RegisteredModel:
    """A model as it stands in the registry: ``texts`` are its boosters' and its parameters'."""

    texts: tuple[str, str]
    name: str
    version: str
    sha256: str
    run_id: str
    source: str
    trained_by: str = ""
    approved_by: str = ""

    @cached_property
    def task(self) -> str:
        """What it is for: ``credit``, ``response``, or an amount such as ``uplift``."""
        # Models before there were tasks were all of credit.
        return str(json.loads(self.texts[1]).get("task", "credit"))

    @cached_property
    def model(self) -> ScoringModel:
        """What gives probabilities.

        Raises:
            WrongTask: it gives amounts.
        """
        if self.task not in get_args(Task):
            raise WrongTask(f"'{self.name}' is a model of {self.task} and gives no probabilities.")
        return ScoringModel.from_texts(*self.texts)

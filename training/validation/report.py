"""The report on one model as a page and as JSON: the evidence a committee signs or refuses."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from group.page import page_text
from training.scale import MASTER_SCALE
from training.validation.evidence import Validation
from training.validation.pictures import Picture

_FEATURES_SHOWN: Final = 25


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model is, for whom, on what it was trained, and by what code: the facts beside the figures.

    ``columns`` says of each column how it was read, where the data were a file; ``steps`` how the model came about.
    """

    name: str
    task: str
    purpose_en: str
    purpose_zh: str
    data: str
    target: str
    population: str
    split: str
    algorithm: str
    calibration: str
    trained_at: datetime
    trained_by: str
    data_sha256: str
    model_sha256: str
    code: str
    seed: int
    not_for: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[Mapping[str, str], ...] = ()


def report_json(card: ModelCard, validation: Validation) -> str:
    """Everything in the report, for machines."""
    content = {"card": asdict(card) | {"trained_at": card.trained_at.isoformat()}, "validation": validation.as_json()}
    # No row is written as NaN, which is not JSON.
    return json.dumps(without_nan(content), indent=1, ensure_ascii=False)


def report_html(card: ModelCard, validation: Validation, pictures: Mapping[str, Picture]) -> str:
    """The page: one file, nothing fetched when it is opened."""
    content: dict[str, Any] = {
        "card": card,
        "v": validation,
        "scale": {grade.name: grade.highest_pd for grade in MASTER_SCALE},
        "pictures": {name: Markup(picture.svg) for name, picture in pictures.items()},  # noqa: S704 - our own drawing
        "shown": _FEATURES_SHOWN,
    }
    return page_text("training", "validation", card.trained_at, content)


def without_nan(value: Any) -> Any:
    """The value as JSON takes it: what is no number is null."""
    if isinstance(value, dict):
        return {str(key): without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value

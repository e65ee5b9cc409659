"""A candidate of a model of amounts, and what the registry keeps of it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from markupsafe import Markup
from mlflow.types import ColSpec, DataType

from group.page import page_text
from training.amounts.evidence import AmountEvidence
from training.amounts.model import AmountModel
from training.registration import Registration
from training.validation.report import ModelCard, without_nan

_CODE: Final = Path(__file__).with_name("mlflow_model.py")


@dataclass(frozen=True)
class AmountCandidate:
    """A model of amounts, its evidence, what it is, and a few rows as a caller would give them."""

    model: AmountModel
    evidence: AmountEvidence
    card: ModelCard
    example: pd.DataFrame

    def registration(self) -> Registration:
        """What the registry keeps."""
        return Registration(
            card=self.card,
            texts=self.model.to_texts(),
            code=_CODE,
            columns=[ColSpec(DataType.double, name, required=True) for name in self.model.features],
            example=self.example,
            parameters={"method": self.model.method, "trees": self.model.trees, "features": len(self.model.features)},
            metrics=self.evidence.figures,
            limits_met=self.evidence.may_become_champion,
            report=self._report(),
            page=self._page(),
            pictures=self.evidence.pictures,
        )

    def _report(self) -> str:
        content = {
            "card": asdict(self.card) | {"trained_at": self.card.trained_at.isoformat()},
            "validation": self.evidence.as_json(),
        }
        return json.dumps(without_nan(content), indent=1, ensure_ascii=False)

    def _page(self) -> str:
        content: dict[str, Any] = {
            "card": self.card,
            "e": self.evidence,
            "pictures": {
                name: Markup(picture.svg)  # noqa: S704 - our own drawing
                for name, picture in self.evidence.pictures.items()
            },
        }
        return page_text("training", "amounts", self.card.trained_at, content)

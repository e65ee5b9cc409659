"""The feature catalogue: a module a subject, each feature with its unit and the direction in which risk moves."""

from features.catalogue.reasons import Reason, reason_of
from features.catalogue.views import (
    CREDIT_SERVICE,
    CREDIT_VIEWS,
    MARKETING_SERVICE,
    VIEWS,
    View,
    risk_directions,
)

__all__ = [
    "CREDIT_SERVICE",
    "CREDIT_VIEWS",
    "MARKETING_SERVICE",
    "VIEWS",
    "Reason",
    "View",
    "reason_of",
    "risk_directions",
]

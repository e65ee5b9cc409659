"""Exact SHAP values of a LightGBM ensemble by tables looked up, and what they say in words."""

from training.attribution.explainer import Explainer as Explainer
from training.attribution.reasons import ReasonBook as ReasonBook
from training.attribution.reasons import Reasons as Reasons
from training.attribution.reasons import WeighedReason as WeighedReason

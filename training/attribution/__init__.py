"""Exact SHAP values of a LightGBM ensemble by tables looked up, and what they say in words."""

from training.attribution.explainer import Explainer as Explainer

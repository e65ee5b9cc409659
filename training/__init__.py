"""Training frames -> Ray and LightGBM -> validation -> MLflow registry."""

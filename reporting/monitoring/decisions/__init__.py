"""What was decided on scores: who is selected, how grades are spread, limits, overrides, and what the declined hide."""

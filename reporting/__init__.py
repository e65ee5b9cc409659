"""Drift, model performance, marts and regulatory returns: the room that looks back. Empty so far."""

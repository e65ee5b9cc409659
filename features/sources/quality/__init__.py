"""Judging a data source before money is spent on it: is it whole, fresh, stable, and does it tell defaults apart?

What a model would gain from a source is measured, not guessed, and the best set of sources under a budget is solved.
"""

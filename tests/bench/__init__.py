"""Benchmarks, each a module that is run by ``make bench-…`` and prints JSON."""

from group.libraries import prepare_libraries

# Before anything imports Feast, Ray or MLflow.
prepare_libraries()

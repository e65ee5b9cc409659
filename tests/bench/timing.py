"""Timing two ways of doing one thing within the same run."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def medians(rounds: int, **sides: Callable[[], object]) -> dict[str, dict[str, Any]]:
    """Seconds of each side, run in turn so that a busy moment of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: {"median": statistics.median(found), "seconds": found} for name, found in times.items()}


def ratio(times: dict[str, dict[str, Any]], above: str, below: str) -> float:
    """Median of one side over that of the other."""
    return float(times[above]["median"] / times[below]["median"])

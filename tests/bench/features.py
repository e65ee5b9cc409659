"""How fast features are read and made, against Feast as it comes and against plain DuckDB: ``make bench-features``.

Both sides of each ratio run in turn within the same process; the figures are medians, and every pair is checked to
give the same values before it is timed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure what is asked for and print JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", choices=sorted(BENCHMARKS), action="append", help="measure this alone")
    arguments.add_argument("--scale", type=float, default=1.0, help="of the rows; 1 is what the figures are stated for")
    chosen = arguments.parse_args()
    results: dict[str, Any] = {}
    for name in chosen.only or BENCHMARKS:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as folder:
            results[name] = BENCHMARKS[name](Path(folder), chosen.rounds, chosen.scale)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)  # noqa: T201 - progress
    print(json.dumps({"benchmark": "features", "rounds": chosen.rounds, **results}, indent=2))  # noqa: T201


def point_in_time(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """A point-in-time frame by ours, by Feast's DuckDB store, and by one hand-written ASOF query."""
    from tests.bench.point_in_time import measure

    return measure(folder, rounds, scale)


def online(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """An online read by ours and by Feast."""
    from tests.bench.online import measure

    return measure(folder, rounds, scale)


def windows(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Windowed features of the medium group against a sum by party."""
    from tests.bench.windows import measure

    return measure(folder, rounds, scale)


def identity(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Linking the medium group's customers, and how many of the pairs are right."""
    from tests.bench.identity import measure

    return measure(folder, rounds, scale)


def push(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """From a pushed transaction to its value online."""
    from tests.bench.push import measure

    return measure(folder, rounds, scale)


BENCHMARKS: dict[str, Callable[[Path, int, float], dict[str, Any]]] = {
    "point_in_time": point_in_time,
    "online": online,
    "windows": windows,
    "identity": identity,
    "push": push,
}


if __name__ == "__main__":
    main()

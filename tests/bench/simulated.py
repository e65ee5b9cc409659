"""How many transactions a second the simulated group is written at: ``make bench-simulated``.

The whole group is made, all tables and the truth, and written as compressed Parquet; the time is the wall clock of
all of it. Beside it stands the floor that the same rows cannot go below: reading them back and writing them again as
they are, with nothing computed. The ratio of the two is the figure that holds on any machine.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from features.sources.simulated import SIZES, simulate


def main() -> None:
    """Measure and print JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", choices=sorted(SIZES), default="medium")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = arguments.parse_args()
    size = SIZES[chosen.size]
    made: list[float] = []
    copied: list[float] = []
    rows = {}
    with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as name:
        folder = Path(name)
        for number in range(chosen.rounds + 1):
            shutil.rmtree(folder / "raw", ignore_errors=True)
            shutil.rmtree(folder / "copy", ignore_errors=True)
            began = time.perf_counter()
            group = simulate(folder / "raw", folder / "truth", size, seed=number, threads=chosen.threads)
            simulated = time.perf_counter() - began
            rows = group.rows
            transactions = sum(pq.read_metadata(path).num_rows for path in (folder / "raw/transactions").iterdir())
            assert transactions == rows["transactions"], "the files do not hold what was reported"
            again = timed(lambda: copy(folder / "raw", folder / "copy", chosen.threads))
            # The first round warms the page cache and the libraries.
            if number:
                made.append(rows["transactions"] / simulated)
                copied.append(again / simulated)
    print(  # noqa: T201 - the result
        json.dumps(
            {
                "benchmark": "simulated group",
                "size": size.name,
                "threads": chosen.threads,
                "rounds": chosen.rounds,
                "rows": rows,
                "transactions_per_second": {"median": statistics.median(made), "min": min(made), "max": max(made)},
                "time_of_a_plain_copy_over_simulation": statistics.median(copied),
            },
            indent=2,
        )
    )


def timed(work: Callable[[], None]) -> float:
    """Seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def copy(source: Path, target: Path, threads: int) -> None:
    """Read every table of ``source`` and write it as it is."""

    def one(path: Path) -> None:
        aim = target / path.relative_to(source)
        aim.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(path), aim, compression="snappy")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, sorted(source.rglob("*.parquet"))))


if __name__ == "__main__":
    main()

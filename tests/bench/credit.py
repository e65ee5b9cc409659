"""How near the credit model comes to what could be known, on simulated groups of several seeds: ``make bench-credit``.

Each seed is a group of its own, taken from raw files through identity and features to a trained candidate, whose Gini
out of time is held against that of the oracle, which knows the true probability of default.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from typing import Any

from features.sources.deliveries import DEFAULT_SEED, SimulatedSource
from features.sources.simulated import SIZES
from group.home import working_in
from group.settings import load_settings
from pipelines.jobs.data import load_data
from pipelines.jobs.features import build_features
from pipelines.jobs.identity import link_customers
from pipelines.jobs.training import train_credit
from pipelines.oracle import compare_with_oracle
from pipelines.progress import Silence
from pipelines.workspace import Workspace


def main() -> None:
    """Measure and print JSON; what each seed gave goes to standard error as soon as it is known."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--size", choices=sorted(SIZES), default="small")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[DEFAULT_SEED, *range(9001, 9009)])
    chosen = arguments.parse_args()
    found = []
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory(prefix="jinkong-bench-") as home:
            found.append(measure(home, chosen.size, seed))
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress
    shares = [one["share_of_oracle_gini"] for one in found]
    summary = {"mean": statistics.mean(shares), "lowest": min(shares), "highest": max(shares)}
    print(json.dumps({"benchmark": "credit", "size": chosen.size, "share": summary, "seeds": found}, indent=2))  # noqa: T201


def measure(home: str, size: str, seed: int) -> dict[str, Any]:
    """Ginis out of time of the model and of the oracle, and the seconds from nothing to a trained candidate."""
    settings = load_settings({"JINKONG_HOME": home})
    workspace = Workspace.of(settings)
    began = time.perf_counter()
    with working_in(workspace.home):
        load_data(settings, SimulatedSource(size, seed), Silence())
        link_customers(settings, Silence())
        build_features(settings, Silence())
        train_credit(settings, Silence())
    seconds = time.perf_counter() - began
    compared = compare_with_oracle(workspace)
    assert compared is not None
    return {
        "seed": seed,
        "rows": compared.rows,
        "model_gini": compared.model_gini,
        "oracle_gini": compared.oracle_gini,
        "oracle_auc": compared.oracle_auc,
        "share_of_oracle_gini": compared.share,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()

"""How fast drift is counted, and what is found of what was planted: ``make bench-monitoring``.

Prints a line to standard error when a part is done; all of it is JSON at the end. ``--home`` takes a home whose
registry holds a credit model with its reference, and saves making one.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from group.libraries import prepare_libraries

prepare_libraries()

from features import read_manifest  # noqa: E402
from group.home import working_in  # noqa: E402
from group.settings import Settings, load_settings  # noqa: E402
from pipelines.jobs.features import build_features  # noqa: E402
from pipelines.jobs.training import train_credit  # noqa: E402
from pipelines.progress import Silence  # noqa: E402
from pipelines.workspace import Workspace  # noqa: E402
from tests.bench.drift_scale import measured  # noqa: E402
from tests.bench.expected import expected_and_realised, halves, moved  # noqa: E402
from tests.bench.groups import a_group  # noqa: E402
from tests.bench.planted import planted, undisturbed  # noqa: E402
from training import MODEL_NAME, latest_candidate, reference_of  # noqa: E402

_PARTS: Final = ("scale", "planted", "undisturbed", "expected")


def main() -> None:
    """Run the parts that are asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=_PARTS, action="append")
    arguments.add_argument("--home", type=Path, help="a home with a credit model; made in minutes if not given")
    arguments.add_argument("--rows", type=int, default=5_000_000)
    arguments.add_argument("--reference-rows", type=int, default=1_000_000)
    arguments.add_argument("--evidently-rows", type=int, default=400_000, help="as many as it takes within 4 GiB")
    arguments.add_argument("--features", type=int, default=5, help="that each kind of shift is planted into")
    arguments.add_argument("--weeks", type=int, default=200)
    chosen = arguments.parse_args()
    parts = chosen.only or list(_PARTS)
    result: dict[str, Any] = {"benchmark": "monitoring"}
    with tempfile.TemporaryDirectory() as folder:
        if "scale" in parts:
            result["scale"] = scale(Path(folder), chosen.rows, chosen.reference_rows, chosen.evidently_rows)
        if {"planted", "undisturbed", "expected"} & set(parts):
            settings = load_settings({}).at(chosen.home or Path(folder) / "home")
            whole = reference(settings, Path(folder))
            rows = whole.filter(fold="train")
            if "expected" in parts:
                canonical = Workspace.of(settings).canonical
                sides = halves(whole, canonical, read_manifest(Workspace.of(settings).data).horizon_months)
                result["expected"] = {"auc": expected_and_realised(sides, seed=2), "moved": moved(sides, seed=3)}
                log(f"expected: {result['expected']}")
            if "planted" in parts:
                result["planted"] = of_kinds(planted(rows, chosen.features, seed=0))
            if "undisturbed" in parts:
                result["undisturbed"] = undisturbed(rows, chosen.weeks, seed=1)
                log(f"undisturbed: {result['undisturbed']}")
    print(json.dumps(result, indent=2))  # noqa: T201 - the result


def scale(folder: Path, rows: int, reference_rows: int, evidently_rows: int) -> dict[str, Any]:
    """Rows a second of both sides; on the rows that Evidently takes, both give the same distances."""
    measured("make", folder, rows, reference_rows)
    ours = [measured("ours", folder, rows, reference_rows) for _ in range(3)]
    theirs = measured("evidently", folder, evidently_rows, evidently_rows)
    seconds = sorted(one["seconds"] for one in ours)[1]
    rates = (rows + reference_rows) / seconds, 2 * evidently_rows / theirs["seconds"]
    found = {
        "rows": rows,
        "reference_rows": reference_rows,
        "seconds": seconds,
        "peak_bytes": max(one["peak_bytes"] for one in ours),
        "evidently_rows": evidently_rows,
        "evidently_seconds": theirs["seconds"],
        "evidently_peak_bytes": theirs["peak_bytes"],
        "rows_a_second_over_evidently": rates[0] / rates[1],
        "largest_difference": _difference(folder, evidently_rows, theirs["wasserstein"]),
    }
    log(f"scale: {found}")
    return found


def _difference(folder: Path, rows: int, theirs: dict[str, float]) -> float:
    """The largest relative difference of the Wasserstein distances on the rows that both take."""
    part = folder / "part"
    part.mkdir()
    for name in ("rows.parquet", "scored.parquet"):
        pl.scan_parquet(folder / name).head(rows).sink_parquet(part / name)
    (part / "profile.json").write_text((folder / "profile.json").read_text())
    ours = measured("ours", part, rows, rows)["wasserstein"]
    for column, distance in theirs.items():
        # Evidently leaves missing values out, as we do.
        assert ours[column] == pytest.approx(distance, rel=1e-6), column
    return max(abs(float(ours[column]) / distance - 1) for column, distance in theirs.items())


def of_kinds(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each kind of shift: how many were planted, found, and named first; and each by itself."""
    kinds = Counter(one["kind"] for one in outcomes)
    found = {
        kind: {
            "planted": count,
            "found": sum(one["kind"] == kind and one["found_after_weeks"] is not None for one in outcomes),
            "named_first": sum(one["kind"] == kind and one["named_first"] for one in outcomes),
        }
        for kind, count in kinds.items()
    }
    log(f"planted: {found}")
    return found | {"each": outcomes}


def reference(settings: Settings, folder: Path) -> pl.DataFrame:
    """The rows that the credit model of a home was trained and judged on."""
    registered = latest_candidate(settings, MODEL_NAME)
    if registered is None:
        with working_in(settings.home):
            a_group(settings, 0.1)
            build_features(settings, Silence())
            train_credit(settings, Silence(), trained_by="the benchmark")
        registered = latest_candidate(settings, MODEL_NAME)
    assert registered is not None
    found = reference_of(registered, settings, folder / "reference")
    return pl.read_parquet(found.rows_file)


def log(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

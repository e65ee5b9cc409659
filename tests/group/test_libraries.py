"""The libraries' switches are set for whoever imports our packages, before the libraries are."""

import os
import subprocess
import sys

import pytest

SHOWN = """
import os, sys, warnings
import {package}
heavy = [name for name in ("feast", "ray", "mlflow") if name in sys.modules]
print(os.environ["DO_NOT_TRACK"], os.environ["FEAST_USAGE"], os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
print(os.environ.get("RAY_AUTH_MODE"), heavy, ("ignore", None, Warning, None, 0) in warnings.filters[:1])
"""


@pytest.mark.parametrize("package", ["features", "training"])
def test_a_notebook_gets_the_switches_of_the_command(package: str, tmp_path: object) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_AUTH_TOKEN": "x" * 32}
    done = subprocess.run(
        [sys.executable, "-c", SHOWN.format(package=package)],
        env=environment | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    # What the user has set stays; no library is loaded for it, and a notebook's warnings are its own.
    assert done.stdout.splitlines() == ["1 False 5", "token [] False"]

"""Steps that know whether their work is still good: done again only when something they depend on has changed."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import duckdb
from polars.exceptions import ComputeError

from group.errors import Unavailable
from pipelines.workspace import Workspace

DATA: Final = "data"
IDENTITY: Final = "identity"
FEATURES: Final = "features"
TRAINING: Final = "training"
MARKETING: Final = "marketing"
"""What the steps are called, on record and on the screen."""

_CODE: Final = Path(__file__).resolve().parent.parent
_LIBRARIES: Final = ("duckdb", "feast", "lightgbm", "numpy", "pandera", "polars", "pyarrow", "scikit-learn")
"""Those whose next release may compute something else."""


class FilesFailed(Unavailable):
    """A file could not be read or written."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What a step did: from what (``fingerprint``), with what figures (``facts``), and whether now or earlier."""

    step: str
    fingerprint: str
    seconds: float
    facts: dict[str, Any]
    reused: bool = False


def fingerprint(*parts: object, code: tuple[str, ...]) -> str:
    """A hash of what a step depends on: the given parts, the source files of the given rooms, and the libraries."""
    libraries = {name: version(name) for name in _LIBRARIES}
    digest = hashlib.sha256(json.dumps([libraries, *(str(part) for part in parts)]).encode())
    for room in sorted(code):
        for path in sorted((_CODE / room).rglob("*.py")):
            digest.update(str(path.relative_to(_CODE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run_step(
    workspace: Workspace,
    step: str,
    wanted: str,
    work: Callable[[], dict[str, Any]],
    *,
    still_there: Callable[[], bool],
    again: bool = False,
) -> StepRecord:
    """Do ``work`` and keep its facts, unless the last run had the fingerprint ``wanted`` and its results remain.

    Args:
        workspace: whose step it is.
        step: its name.
        wanted: the fingerprint of what the step depends on now.
        work: does the step and returns its facts, as JSON values.
        still_there: whether the results of the last run are still where they were put.
        again: do it in any case.

    Raises:
        FilesFailed: a file could not be read or written, for example because the disk is full.
    """
    done = last_record(workspace, step)
    if done is not None and done.fingerprint == wanted and not again and still_there():
        return StepRecord(step, wanted, done.seconds, done.facts, reused=True)
    path = _path(workspace, step)
    # Taken away before the work begins: a run that is cut off leaves nothing that looks finished.
    path.unlink(missing_ok=True)
    began = time.monotonic()
    with _file_errors(workspace, step):
        facts = work()
        record = StepRecord(step, wanted, round(time.monotonic() - began, 2), facts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(record), indent=2, ensure_ascii=False))
    return record


def last_record(workspace: Workspace, step: str) -> StepRecord | None:
    """What the step did when it was last done to the end in this workspace; None if it never was."""
    try:
        return StepRecord(**json.loads(_path(workspace, step).read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _file_errors(workspace: Workspace, step: str) -> Iterator[None]:
    """A full disk or a missing right, as Python, polars and DuckDB report it, in one sentence."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        # DuckDB says so of a file that is no Parquet any more, and of much that is a fault of ours.
        if ".parquet" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise FilesFailed(
            f"Step '{step}' found a damaged file: {reason}. Delete that file and run `jinkong data` with the same "
            "source: it loads what is missing."
        ) from error
    except (OSError, duckdb.IOException, ComputeError) as error:
        # Of polars' errors only those of files are known to be no fault of ours.
        if isinstance(error, ComputeError) and "IO error" not in str(error):
            raise
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise FilesFailed(
            f"Step '{step}' could not read or write a file: {reason}. Make sure that {workspace.home} may be written "
            "and has room, and run it again; what it had begun is not used."
        ) from error


def _path(workspace: Workspace, step: str) -> Path:
    return workspace.steps / f"{step}.json"

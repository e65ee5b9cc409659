"""Compute features of many past days as one durable workflow: stopped or killed, it goes on where it was.

DBOS keeps in a database which instants are done. The workflow's name is a hash of what it computes from, so that the
same call goes on with the same workflow, and other data or other code begin a new one.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Final, Literal

from dbos import DBOS, SetWorkflowID, WorkflowHandle

from features import apply_definitions, canonical_state, complete_pushes, open_store, plus_months
from group.durable import durable
from group.errors import InputError
from group.settings import Settings
from pipelines.jobs.features import compute_features, loaded_views
from pipelines.progress import Reporter, Silence
from pipelines.steps import fingerprint
from pipelines.workspace import Workspace

Step = Literal["day", "week", "month"]

_DAYS: Final = {"day": 1, "week": 7}
_UNFINISHED: Final = ("PENDING", "ENQUEUED", "CANCELLED")
_MOST: Final = 4_000
"""Instants of one backfill: eleven years of days."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill did: its instants, the feature files they have, and how many were computed by this run."""

    instants: int
    files: int
    files_computed: int


def backfill_instants(first: date, last: date, every: Step) -> list[datetime]:
    """Midnights (UTC) from ``first`` to ``last``, both included; with ``month``, the month starts among them.

    Raises:
        InputError: the range is empty, lies in the future or holds more than 4,000 instants.
    """
    begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last))
    if end > datetime.now(UTC):
        raise InputError(f"--to {last} lies in the future; give a day up to today.")
    if every == "month":
        at = begin if begin.day == 1 else plus_months(begin.replace(day=1), 1)
        count = (end.year - at.year) * 12 + end.month - at.month + 1
        instants = [plus_months(at, number) for number in range(max(count, 0))]
    else:
        step = timedelta(days=_DAYS[every])
        instants = [begin + number * step for number in range((end - begin) // step + 1)]
    if not instants:
        raise InputError(f"From {first} to {last} there is no {every}; --from must not be after --to.")
    if len(instants) > _MOST:
        raise InputError(f"From {first} to {last} there are {len(instants)} instants; {_MOST} are the most in one go.")
    return instants


def backfill(settings: Settings, instants: Sequence[datetime], reporter: Reporter) -> Backfill:
    """Compute every view at each instant, one durable step an instant; then register what is there.

    Online values stay as they are. A step that was done is not done again; within the step that was cut off, files
    that were finished are kept.
    """
    workspace = Workspace.of(settings)
    complete_pushes(workspace.canonical)
    named = fingerprint(
        canonical_state(workspace.canonical), *instants, settings.feature_partitions, code=("features", "group")
    )
    with reporter.bar("backfill", len(instants)) as advance, _durable(settings):
        _WORK[named] = (settings, advance)
        try:
            handle = _begun_or_resumed(named, [instant.isoformat() for instant in instants])
            counts = [tuple(found) for found in handle.get_result()]
        finally:
            del _WORK[named]
    apply_definitions(open_store(settings), workspace.features)
    computed = sum(number for _, number in counts)
    return Backfill(len(instants), sum(files for files, _ in counts), computed)


def _begun_or_resumed(named: str, instants: list[str]) -> WorkflowHandle[list[list[int]]]:
    """The workflow of this name that was cut off, or a new one where there is none or it came to an end."""
    for attempt in count(1):
        workflow = f"{named[:32]}-{attempt}"
        status = DBOS.get_workflow_status(workflow)
        if status is None:
            with SetWorkflowID(workflow):
                return DBOS.start_workflow(_backfill, named, instants)
        if status.status in _UNFINISHED:
            return DBOS.resume_workflow(workflow)
    raise AssertionError("count() has no end")


_WORK: dict[str, tuple[Settings, Callable[[float], None]]] = {}
"""What a workflow needs and DBOS should not keep: settings hold secrets."""


@DBOS.workflow()
def _backfill(named: str, instants: list[str]) -> list[list[int]]:
    done = []
    for instant in instants:
        done.append(_one_instant(named, instant))
        _WORK[named][1](1)
    return done


@DBOS.step()
def _one_instant(named: str, instant: str) -> list[int]:
    settings, _ = _WORK[named]
    views = loaded_views(settings)
    found = compute_features(settings, views, [datetime.fromisoformat(instant)], Silence())
    return [found.files, found.files_computed]


def _durable(settings: Settings) -> AbstractContextManager[None]:
    return durable(
        settings,
        name="jinkong",
        file="dbos.db",
        version=hashlib.sha256(fingerprint(code=("features", "group")).encode()).hexdigest()[:16],
        # Another process each time: what was cut off goes on when it is asked for, not with whatever runs next.
        executor=f"backfill-{datetime.now(UTC):%Y%m%d%H%M%S%f}",
    )

"""``jinkong features push``: events from a file or a pipe into the features of this home."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

from features import push, push_target, read_manifest
from group.errors import InputError
from group.settings import Settings
from pipelines.workspace import Workspace

_MOST_BYTES: Final = 64 * 1024 * 1024


def read_events(stream: TextIO) -> list[Mapping[str, Any]]:
    """Events from JSON: an object, a list of objects, or an object a line.

    Raises:
        InputError: it is none of these, or larger than 64 MiB.
    """
    text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise InputError(f"The events are larger than {_MOST_BYTES >> 20} MiB; deliver them with `jinkong data`.")
    try:
        # Amounts keep their digits: 0.10 is not the nearest binary fraction.
        content = json.loads(text, parse_float=str)
    except ValueError:
        content = [_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    events = content if isinstance(content, list) else [content]
    if not events or not all(isinstance(event, dict) for event in events):
        raise InputError("Events are JSON objects: one, a list of them, or one a line.")
    return events


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line, parse_float=str)
    except ValueError as error:
        raise InputError(f"Line {number} of the events is no JSON ({error}).") from None


def push_events(settings: Settings, table: str, events: list[Mapping[str, Any]]) -> Iterator[str]:
    """Push the events, and say what became of them."""
    workspace = Workspace.of(settings)
    read_manifest(workspace.data)
    done = push(push_target(settings), table, events)
    views = ", ".join(done.views) or "no view"
    yield (
        f"{done.rows:,} events of '{table}' taken at {done.at:%Y-%m-%d %H:%M:%S} UTC; "
        f"{len(done.parties):,} parties are new in {views}"
    )

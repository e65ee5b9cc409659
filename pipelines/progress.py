"""Progress on the terminal for work that takes longer than a glance, and nothing where nobody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter(Protocol):
    """How a job tells how far it is."""

    def bar(self, description: str, total: float | None) -> AbstractContextManager[Callable[[float], None]]:
        """A bar while the block runs; what it yields advances it. ``total`` is None if nobody can tell."""


def _console() -> Console:
    # The stream itself rather than "whatever stderr is by then": libraries are hushed by redirecting it.
    return Console(file=sys.stderr)


@dataclass
class TerminalProgress:
    """Bars on stderr, so that what a command prints can be piped."""

    console: Console = field(default_factory=_console)

    @contextmanager
    def bar(self, description: str, total: float | None) -> Iterator[Callable[[float], None]]:
        """A bar while the block runs; what it yields advances it."""
        counted = [MofNCompleteColumn(), TimeRemainingColumn()] if total is not None and total > 1 else []
        columns = [TextColumn("{task.description}"), BarColumn(), *counted, TimeElapsedColumn()]
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(description, total=total)
            yield partial(progress.advance, task)


class Silence:
    """A reporter that shows nothing: within a step whose own progress is shown."""

    def bar(self, description: str, total: float | None) -> AbstractContextManager[Callable[[float], None]]:  # noqa: ARG002
        """Nothing; what it yields does nothing."""
        return nullcontext(lambda _amount: None)


def as_steps(advance: Callable[[float], None]) -> Callable[[float], None]:
    """From shares that are done to steps between them."""
    told = 0.0

    def progress(share: float) -> None:
        nonlocal told
        advance(share - told)
        told = share

    return progress

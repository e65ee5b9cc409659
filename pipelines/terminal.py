"""What the commands share: the screen, progress on it, and keeping others out of the home folder meanwhile.

Rich and the rooms are imported where they are used, so that ``--help`` is quick.
"""

import sys
from typing import TYPE_CHECKING

from group.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from pipelines.progress import TerminalProgress


def working(settings: Settings) -> "AbstractContextManager[None]":
    """Keep other processes out of the home folder meanwhile."""
    from group.home import working_in

    return working_in(settings.home)


def starting() -> "AbstractContextManager[object]":
    """A sign of life while libraries are imported, which takes seconds."""
    return console(error=True).status("starting")


def reporter() -> "TerminalProgress":
    """Progress bars on the terminal."""
    from pipelines.progress import TerminalProgress

    return TerminalProgress()


def console(*, error: bool = False) -> "Console":
    """The terminal; with ``error``, what is no result."""
    from rich.console import Console

    # The stream as it is now: libraries are hushed by redirecting it, our own words are not.
    return Console(file=sys.stderr if error else sys.stdout)

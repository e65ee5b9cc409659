"""The jinkong command within the tests' own process."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from pipelines.command import main


def jinkong(*arguments: str, home: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The command as a user runs it, but in this process: its libraries are imported once for all of the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JINKONG_")}
    environment |= {"JINKONG_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1", **variables}
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["jinkong", *arguments]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())

"""How third-party libraries behave in our processes: no telemetry, no chatter, no endless retries."""

import atexit
import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from group.log_masking import mask_logs

_SWITCHES: Final = {
    # A group's customers are nobody else's business.
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A registry that is down should be reported in seconds; seven retries take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def switch_libraries() -> None:
    """Set the libraries' own switches, before they are imported. What the user has set stays."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    # Ray's processes ask for a token if the machine has one; a driver that joins a cluster has to be told to show it.
    token = Path.home() / ".ray" / "auth_token"
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ or token.is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Feast, once imported, has prometheus_client keep its values in files that all processes of the machine share;
    # ours count in memory. Whichever is imported first decides.
    importlib.import_module("prometheus_client")


def prepare_libraries() -> None:
    """Set the switches for a process of ours, which shows nobody what libraries warn of, nor anybody's numbers."""
    switch_libraries()
    mask_logs()
    if not sys.warnoptions:
        # What libraries warn of is for those who maintain this code; the tests show it.
        warnings.simplefilter("ignore")


def hush_the_end() -> None:
    """Let nothing be written to standard error once all that was to be done at exit is done.

    Evidently leaves objects of DuckDB behind in places that Python does not clear, which DuckDB's bindings complain of
    in fifty lines after the last of our own.
    """
    # What is registered first is called last.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Within, prints and warnings go nowhere; exceptions come through. Our own progress replaces the chatter."""
    silence = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def hushed_natively() -> Iterator[None]:
    """The same for libraries that write to standard error past Python. Whatever else writes there meanwhile is lost."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with hushed():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

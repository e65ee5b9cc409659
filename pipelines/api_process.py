"""Run `jinkong serve` as a process of its own, wait until it is ready, and end it."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from group.errors import Unavailable
from group.settings import Settings, environment_of

_READY_SECONDS: Final = 60.0
_LAST_LINES: Final = 15


class ServerFailed(Unavailable):
    """The API did not become ready."""


@dataclass(frozen=True)
class ApiProcess:
    """A running API server."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_api(settings: Settings, log: Path) -> ApiProcess:
    """Start the API on the settings' port, or on a free one if that is taken, and return when it is ready.

    The server outlives this process unless it is stopped. What it prints goes to ``log``.

    Raises:
        ServerFailed: it ended, or was not ready within a minute; the message ends with what it printed last.
    """
    port = _free_port(settings.host, settings.port)
    # Feast, where it was imported, has prometheus_client share its values among processes by files.
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    environment = inherited | {
        **environment_of(settings.model_copy(update={"home": settings.home.absolute(), "port": port})),
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "serve"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    server = ApiProcess(process, f"http://{settings.host}:{port}", log)
    try:
        _wait_until_ready(server)
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_ready(server: ApiProcess) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    answer = "no answer"
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            response = httpx.get(f"{server.url}/readyz", timeout=30)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if response.status_code == httpx.codes.OK:
            return
        answer = "; ".join(response.json().get("reasons", [])) or str(response.status_code)
        time.sleep(0.5)
    printed = server.log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
    raise ServerFailed("\n".join([f"The API did not become ready: {answer}. It printed last:", *printed]))


def _free_port(host: str, wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerFailed(f"No port of {host} is free; set JINKONG_HOST to an address of this machine.")

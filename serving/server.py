"""Run the API with uvicorn."""

import gc
import ipaddress
from collections.abc import Callable
from functools import partial

import uvicorn

from group.errors import InputError
from group.settings import Settings
from serving.app import create_app
from serving.backend import open_backend


class UnprotectedService(InputError):
    """The API would be open to other machines without a token."""


def serve(settings: Settings, announce: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until the process is told to stop. ``announce`` is told the address just before.

    Raises:
        UnprotectedService: another machine could reach the address, and no token is set.
    """
    if settings.service_token is None and not _reaches_this_machine_only(settings.host):
        raise UnprotectedService(
            f"JINKONG_HOST is {settings.host}, which other machines can reach; set JINKONG_SERVICE_TOKEN to a secret "
            "of at least 16 characters first, or serve on 127.0.0.1."
        )
    announce(f"http://{settings.host}:{settings.port}")
    uvicorn.run(
        create_app(settings, partial(open_backend, after_loading=_spare_collector)),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        access_log=settings.log_level in ("debug", "info"),
        server_header=False,
    )


def _spare_collector() -> None:
    """Take what lives as long as the process out of the collector's rounds.

    A round over a million objects of libraries and models stops every request for a quarter of a second.
    """
    gc.collect()
    gc.freeze()


def _reaches_this_machine_only(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

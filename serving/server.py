"""Run the API with uvicorn."""

import ipaddress
from collections.abc import Callable

import uvicorn

from group.errors import InputError
from group.settings import Settings
from serving.app import create_app


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
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        access_log=settings.log_level in ("debug", "info"),
        server_header=False,
    )


def _reaches_this_machine_only(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

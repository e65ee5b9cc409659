"""Run the API with uvicorn."""

import gc
import ipaddress
import os
import secrets
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import uvicorn

from group.errors import InputError
from group.libraries import prepare_libraries
from group.settings import PREFIX, Settings, load_settings
from serving.app import create_app
from serving.backend import open_backend
from serving.direct import DirectApi
from serving.protocol import WholeAnswers

_SWITCH_SECONDS: Final = 0.0005


class UnprotectedService(InputError):
    """Secrets would travel to other machines for everybody to read."""


def serve(settings: Settings, announce: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until the process is told to stop. ``announce`` is told the address just before.

    Raises:
        UnprotectedService: another machine could reach the address, and nothing encrypts what is sent.
    """
    encrypted = settings.tls_certificate is not None
    if not (encrypted or settings.trusted_proxies or _reaches_this_machine_only(settings.host)):
        raise UnprotectedService(
            f"JINKONG_HOST is {settings.host}, which other machines can reach, and nothing encrypts what they send: "
            "set JINKONG_TLS_CERTIFICATE and JINKONG_TLS_KEY, or JINKONG_TRUSTED_PROXIES to the proxy that ends TLS in "
            "front, or serve on 127.0.0.1."
        )
    announce(f"{'https' if encrypted else 'http'}://{settings.host}:{settings.port}")
    alone = settings.workers == 1
    if not alone and settings.token_keys is None:
        # A token that one worker gives has to be believed by the others.
        os.environ[f"{PREFIX}TOKEN_KEYS"] = secrets.token_urlsafe(32)
    uvicorn.run(
        _app(settings) if alone else "serving.server:worker_app",
        factory=not alone,
        workers=None if alone else settings.workers,
        host=settings.host,
        port=settings.port,
        http=WholeAnswers,
        log_level=settings.log_level,
        access_log=settings.log_level in ("debug", "info"),
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
    )


def worker_app() -> DirectApi:
    """The application of one worker of several, by the settings that they share."""
    prepare_libraries()
    return replica_app(load_settings())


def replica_app(settings: Settings) -> DirectApi:
    """The application of one of several processes, by the settings that they share."""
    return _app(settings)


def _app(settings: Settings) -> DirectApi:
    # A thread that comes back from the disk or from compiled code waits so long for the interpreter while another uses
    # it. Parts of a batch, which are scored and written side by side, lose a twentieth of their time to Python's 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    return create_app(settings, partial(open_backend, after_loading=_spare_collector))


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

"""Feast's own web interface on the registry of this home folder."""

import socket
from collections.abc import Callable

from features import CREDIT_SERVICE, feast_home, open_store, read_layout
from group.errors import Unavailable
from group.settings import Settings

_HOST = "127.0.0.1"


class PortTaken(Unavailable):
    """Something else listens on the port."""


def serve_feature_ui(settings: Settings, port: int, ready: Callable[[str], None]) -> None:
    """Serve on this machine only until Ctrl-C: Feast's pages ask for no password. ``ready`` is told the address.

    Raises:
        FeatureStoreUnavailable: no features were built here yet.
        PortTaken: the port is in use.
    """
    read_layout(feast_home(settings), CREDIT_SERVICE)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            raise PortTaken(f"Port {port} is in use; give another one with --port.") from None
    store = open_store(settings)
    ready(f"http://{_HOST}:{port}")
    store.serve_ui(host=_HOST, port=port)

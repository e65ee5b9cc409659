"""Feast's own web interface on the registry of this home folder."""

import socket

from features import CREDIT_SERVICE, feast_home, open_store
from features.online.layout import read_layout
from group.errors import Unavailable
from group.settings import Settings


class PortTaken(Unavailable):
    """Something else listens on the port."""


def serve_feature_ui(settings: Settings, port: int) -> None:
    """Serve on this machine only until Ctrl-C: Feast's pages ask for no password.

    Raises:
        FeatureStoreUnavailable: no features were built here yet.
        PortTaken: the port is in use.
    """
    read_layout(feast_home(settings), CREDIT_SERVICE)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortTaken(f"Port {port} is in use; give another one with --port.") from None
    open_store(settings).serve_ui(host="127.0.0.1", port=port)

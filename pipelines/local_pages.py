"""Pages of libraries, served to this machine only: they ask for no password."""

import socket
from typing import Final

from group.errors import Unavailable

HOST: Final = "127.0.0.1"


class PortTaken(Unavailable):
    """Something else listens on the port."""


def require_free(port: int) -> None:
    """See that nothing listens on a port.

    Raises:
        PortTaken: something does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortTaken(f"Port {port} is in use; give another one with --port.") from None

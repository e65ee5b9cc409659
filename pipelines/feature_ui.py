"""Feast's own web interface on the registry of this home folder."""

from collections.abc import Callable

from features import CREDIT_SERVICE, feast_home, open_store, read_layout
from group.settings import Settings
from pipelines.local_pages import HOST, require_free


def serve_feature_ui(settings: Settings, port: int, ready: Callable[[str], None]) -> None:
    """Serve on this machine only until Ctrl-C. ``ready`` is told the address.

    Raises:
        FeatureStoreUnavailable: no features were built here yet.
        PortTaken: the port is in use.
    """
    read_layout(feast_home(settings), CREDIT_SERVICE)
    require_free(port)
    store = open_store(settings)
    ready(f"http://{HOST}:{port}")
    store.serve_ui(host=HOST, port=port)

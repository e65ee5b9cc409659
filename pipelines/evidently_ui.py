"""Evidently's own web interface on what was watched in this home folder."""

from collections.abc import Callable

from group.errors import Unavailable
from group.libraries import hush_the_end, hushed
from group.settings import Settings
from pipelines.local_pages import HOST, require_free
from pipelines.workspace import Workspace


class NothingWatched(Unavailable):
    """No period was watched here yet."""


def serve_evidently(settings: Settings, port: int, ready: Callable[[str], None]) -> None:
    """Serve on this machine only until Ctrl-C. ``ready`` is told the address.

    Raises:
        NothingWatched: there are no pages yet.
        PortTaken: the port is in use.
    """
    folder = Workspace.of(settings).evidently
    if not folder.is_dir():
        raise NothingWatched(f"There are no pages in {folder} yet: run `jinkong monitor` once a week has been scored.")
    require_free(port)
    hush_the_end()
    with hushed():
        from evidently.ui.service.app import get_config, run

    ready(f"http://{HOST}:{port}")
    run(get_config(HOST, port, str(folder), None, None, None))

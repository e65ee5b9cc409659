"""Starting the server."""

import pytest

from group.settings import load_settings
from serving import serve
from serving.server import UnprotectedService


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "jinkong.example"])  # noqa: S104 - must be refused
def test_an_address_that_others_can_reach_needs_encryption(host: str) -> None:
    with pytest.raises(UnprotectedService, match="set JINKONG_TLS_CERTIFICATE"):
        serve(load_settings({"JINKONG_HOST": host}))

"""Switch off what the libraries report to their makers: a group's customers are nobody else's business."""

import os
from typing import Final

_SWITCHES: Final = {
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off_telemetry() -> None:
    """Set the libraries' own switches, before they are imported. What the user has set stays."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)

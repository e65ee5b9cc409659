"""What a data set says of itself: where it comes from, how far it was observed, what its label means."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.errors import UnknownSource

_FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts about a data set that its tables do not hold.

    Defaults are known completely before ``observed_until``; the label is a default within ``horizon_months``.
    """

    source: str
    observed_until: datetime
    horizon_months: int

    def write(self, folder: Path) -> None:
        """Keep the manifest in ``folder``."""
        text = {
            "source": self.source,
            "observed_until": self.observed_until.isoformat(),
            "horizon_months": self.horizon_months,
        }
        (folder / _FILE).write_text(json.dumps(text, indent=2))


def read_manifest(folder: Path) -> Manifest:
    """The manifest in ``folder``.

    Raises:
        UnknownSource: there is none, because no data were loaded.
    """
    path = folder / _FILE
    if not path.is_file():
        raise UnknownSource(f"No data were loaded into {folder}; run `jinkong data` first.")
    content = json.loads(path.read_text())
    return Manifest(content["source"], datetime.fromisoformat(content["observed_until"]), content["horizon_months"])

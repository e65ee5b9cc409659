"""What a reader must know of a feature service: its project, its views and their features. Kept beside the registry."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from features.errors import FeatureStoreUnavailable
from group.files import write_text_whole

_PREFIX: Final = "service_"


@dataclass(frozen=True, slots=True)
class ViewLayout:
    """A view of the service, with its features in the service's order."""

    name: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceLayout:
    """A feature service as the online store holds it."""

    project: str
    service: str
    views: tuple[ViewLayout, ...]

    @property
    def features(self) -> list[str]:
        """All features in the order in which models take them."""
        return [name for view in self.views for name in view.features]


def write_layout(layout: ServiceLayout, home: Path) -> None:
    """Keep the layout in Feast's home folder, where ``read_layout`` finds it."""
    write_text_whole(_path(home, layout.service), json.dumps(asdict(layout), indent=2))


def read_layout(home: Path, service: str) -> ServiceLayout:
    """The layout that was kept when the service was last applied.

    Raises:
        FeatureStoreUnavailable: there is none.
    """
    try:
        kept = json.loads(_path(home, service).read_text())
    except FileNotFoundError:
        raise FeatureStoreUnavailable(
            f"The feature service '{service}' is not defined in {home}; run `jinkong features` first."
        ) from None
    views = tuple(ViewLayout(view["name"], tuple(view["features"])) for view in kept["views"])
    return ServiceLayout(kept["project"], kept["service"], views)


def served_views(home: Path) -> list[ViewLayout]:
    """The views of all services that are kept in Feast's home folder, by name."""
    services = [path.stem.removeprefix(_PREFIX) for path in sorted(home.glob(f"{_PREFIX}*.json"))]
    views = {view.name: view for service in services for view in read_layout(home, service).views}
    return [views[name] for name in sorted(views)]


def forget_layout(home: Path, service: str) -> None:
    """Drop the layout: the service is no longer defined."""
    _path(home, service).unlink(missing_ok=True)


def _path(home: Path, service: str) -> Path:
    return home / f"{_PREFIX}{service}.json"

"""Reports as one HTML file each: nothing is fetched when it is opened, and every heading speaks Chinese and English."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from group.files import write_text_whole

_ENVIRONMENT = Environment(
    loader=PackageLoader("reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def _share(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def _amount(value: Any) -> str:
    return f"{value:,.0f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


_ENVIRONMENT.filters |= {"share": _share, "amount": _amount, "number": _number}


def write_report_page(path: Path, template: str, made_at: datetime, content: Mapping[str, Any]) -> None:
    """Render ``reporting/templates/<template>.html`` into ``path``, whole or not at all.

    Raises:
        jinja2.UndefinedError: ``content`` lacks something that the template shows.
    """
    text = _ENVIRONMENT.get_template(f"{template}.html").render(made_at=made_at, **content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, text)

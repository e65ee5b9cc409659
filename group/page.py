"""Reports as one HTML file each: nothing is fetched when it is opened, and every heading speaks Chinese and English."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from group.files import write_text_whole


def _share(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def _amount(value: Any) -> str:
    return f"{value:,.0f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


@cache
def _environment(room: str) -> Environment:
    found = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader("group")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"share": _share, "amount": _amount, "number": _number}
    return found


def page_text(room: str, template: str, made_at: datetime, content: Mapping[str, Any]) -> str:
    """Render ``<room>/templates/<template>.html``, which may extend ``page.html``.

    Raises:
        jinja2.UndefinedError: ``content`` lacks something that the template shows.
    """
    return _environment(room).get_template(f"{template}.html").render(made_at=made_at, **content)


def write_page(path: Path, room: str, template: str, made_at: datetime, content: Mapping[str, Any]) -> None:
    """Render a page into ``path``, whole or not at all."""
    text = page_text(room, template, made_at, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(path, text)

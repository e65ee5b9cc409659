"""The feature catalogue for readers: in the terminal, as Markdown or as JSON."""

import json
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Column, Table

from features import VIEWS, View
from group.errors import InputError

_RISK: Final = {-1: "falls", 0: "either", 1: "rises"}
"""What risk does where the feature grows."""


def tell_catalogue(console: Console, names: Sequence[str], written_as: str) -> None:
    """Print the named views, or all of them, as ``table``, ``markdown`` or ``json``.

    Raises:
        InputError: there is no view of a name.
    """
    views = _chosen(names)
    if written_as == "json":
        console.print(_as_json(views), markup=False, highlight=False, soft_wrap=True)
    elif written_as == "markdown":
        console.print(_as_markdown(views), markup=False, highlight=False, soft_wrap=True)
    else:
        for view in views:
            console.print(_as_table(view))
        count = sum(len(view.features) for view in views)
        console.print(
            f"{count} features in {len(views)} views, each as of an instant, for a party as a company sees it"
        )


def _chosen(names: Sequence[str]) -> list[View]:
    known = {view.name: view for view in VIEWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"There is no feature view '{unknown[0]}'; there are {', '.join(known)}.")
    return [known[name] for name in names] or list(VIEWS)


def _as_table(view: View) -> Table:
    title = f"{view.name}: {view.subject} (from {view.table})"
    table = Table(Column("feature", no_wrap=True), "unit", "risk", "what it is", title=title, title_justify="left")
    for feature in view.features:
        table.add_row(feature.name, feature.unit, _RISK[feature.risk], feature.description)
    return table


def _as_markdown(views: Sequence[View]) -> str:
    lines = []
    for view in views:
        lines += [f"## {view.name}", "", f"{view.subject}. From table `{view.table}`.", ""]
        lines += ["| feature | unit | where it grows, risk | what it is |", "| --- | --- | --- | --- |"]
        lines += [f"| `{f.name}` | {f.unit} | {_RISK[f.risk]} | {f.description} |" for f in view.features]
        lines.append("")
    return "\n".join(lines)


def _as_json(views: Sequence[View]) -> str:
    return json.dumps(
        [
            {
                "view": view.name,
                "feature": feature.name,
                "unit": feature.unit,
                "risk": feature.risk,
                "source_table": view.table,
                "description": feature.description,
            }
            for view in views
            for feature in view.features
        ],
        indent=2,
        ensure_ascii=False,
    )

"""What a user says of a flat table, and whether its columns are there."""

import difflib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.errors import UnusableTable
from training.model import Task


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What a user says of a table.

    Attributes:
        path: the file.
        target: the column to predict.
        task: what the probability is of.
        positive: the value of the target that counts as the event; told by the values if None.
        time: the column that says when a row was: the latest fifth is the test.
        identifier: the column that names whom a row is about: all rows of one are in one part.
        ordered: rows stand in order of time, where no column says it.
        drop: columns that must not be used.
        keep: columns to use although they look like names of rows or copies of the target.
        rising: columns with which the probability may only rise.
        falling: columns with which it may only fall.
    """

    path: Path
    target: str
    task: Task = "credit"
    positive: str | None = None
    time: str | None = None
    identifier: str | None = None
    ordered: bool = False
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()
    sheet: str | None = None


def require_columns(table: pl.DataFrame, request: TableRequest) -> None:
    """See that every column that was named is there.

    Raises:
        UnusableTable: one is not, or is asked for what contradicts itself.
    """
    asked = {
        "--target": [request.target], "--time": [request.time] if request.time else [],
        "--id": [request.identifier] if request.identifier else [], "--drop": request.drop, "--keep": request.keep,
        "--rising": request.rising, "--falling": request.falling,
    }  # fmt: skip
    for option, names in asked.items():
        for name in names:
            if name not in table.columns:
                near = difflib.get_close_matches(name, table.columns, n=1)
                hint = f"the nearest is '{near[0]}'" if near else f"it has {', '.join(table.columns[:8])}"
                raise UnusableTable(f"{request.path} has no column '{name}', which {option} names; {hint}.")
    for name in (*request.drop, *request.rising, *request.falling):
        if name == request.target:
            raise UnusableTable(f"'{name}' is the target; it cannot be a feature.")
    both = set(request.rising) & set(request.falling)
    if both:
        raise UnusableTable(f"'{sorted(both)[0]}' cannot be both --rising and --falling.")

"""``jinkong features``: compute them, fill in the past, take single events, and see what they are."""

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

import typer

from group.errors import InputError
from group.settings import load_settings
from pipelines.terminal import console, reporter, starting, working


class Every(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """How far apart the instants of a backfill are."""

    day = "day"
    week = "week"
    month = "month"


class CatalogueFormat(str, Enum):  # noqa: UP042
    """How the feature catalogue is written."""

    table = "table"
    markdown = "markdown"
    json = "json"


features_app = typer.Typer(
    invoke_without_command=True,
    help="Compute windowed features at every month start, register them in Feast, bring the latest online.\n\n"
    "Each view is about one table: a row for each party as each company sees it. "
    "Only what a delivery touched is computed again. [bold]backfill[/bold] computes many past days and goes on where "
    "it was stopped, [bold]push[/bold] takes single events, [bold]docs[/bold] prints what every feature is, "
    "[bold]ui[/bold] opens Feast's own pages.",
)


@features_app.callback()
def features(
    context: typer.Context,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="a day (UTC midnight) beside the month starts", show_default=False),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="do it even if nothing has changed")] = False,  # noqa: FBT002
) -> None:
    """Build the features, unless a command below is named."""
    if context.invoked_subcommand is not None:
        return
    with starting():
        from pipelines.jobs.features import build_features
        from pipelines.told import tell_features

    instant = as_of.replace(tzinfo=UTC) if as_of else None
    if instant and instant > datetime.now(UTC):
        raise InputError(f"--as-of {instant:%Y-%m-%d} lies in the future; give a day up to today.")
    settings = load_settings()
    with working(settings):
        tell_features(console(), build_features(settings, reporter(), again=again, as_of=instant))


@features_app.command("backfill")
def features_backfill(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day")],
    every: Annotated[Every, typer.Option(help="how far apart the instants are")] = Every.day,
) -> None:
    """Compute features as of many past days. If it is stopped or killed, the same command goes on where it was."""
    with starting():
        from pipelines.backfill import backfill, backfill_instants

    settings = load_settings()
    instants = backfill_instants(first.date(), last.date(), every.value)
    with working(settings):
        done = backfill(settings, instants, reporter())
    console().print(
        f"{done.instants:,} instants from {instants[0]:%Y-%m-%d} to {instants[-1]:%Y-%m-%d}; "
        f"{done.files_computed:,} of {done.files:,} files had to be computed",
        highlight=False,
    )


@features_app.command("push")
def features_push(
    table: Annotated[str, typer.Argument(help="the events' table, such as transactions")],
    file: Annotated[
        typer.FileText, typer.Argument(help="events as JSON: an object, a list, or one a line; - reads stdin")
    ],
) -> None:
    """Take single events: kept with the table, and at once in the features of their parties, offline and online."""
    with starting():
        from pipelines.push import push_events, read_events

    settings = load_settings()
    with working(settings):
        for told in push_events(settings, table, read_events(file)):
            console().print(told, highlight=False, soft_wrap=True)


@features_app.command("docs")
def features_docs(
    views: Annotated[list[str] | None, typer.Argument(help="names of views; all if none is given")] = None,
    written_as: Annotated[CatalogueFormat, typer.Option("--format", help="how to write it")] = CatalogueFormat.table,
) -> None:
    """Print the catalogue: every feature with its unit, its source table, and which way risk moves where it grows."""
    from pipelines.feature_catalogue import tell_catalogue

    tell_catalogue(console(), views or [], written_as.value)


@features_app.command("ui")
def features_ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="to serve on, on this machine only")] = 8888,
) -> None:
    """Open Feast's own web interface on what was registered here, until Ctrl-C."""
    with starting():
        from pipelines.feature_ui import serve_feature_ui

    screen = console(error=True)
    serve_feature_ui(load_settings(), port, lambda url: screen.print(f"Feast's pages: {url}", highlight=False))

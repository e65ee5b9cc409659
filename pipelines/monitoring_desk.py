"""``jinkong monitor``: models in service, watched."""

import getpass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, reporter, starting, working

if TYPE_CHECKING:
    from datetime import date

monitoring_app = typer.Typer(
    invoke_without_command=True,
    help="Watch models in service: what they see and answer against what they were trained on.\n\n"
    "Alone, it reads new scores from the audit log, looks at each day, week and month that has ended since the last "
    "run, raises and ends alarms, and opens a case for each. With [bold]--from[/bold] and [bold]--to[/bold] it looks "
    "at any past days (again). Run it daily.\n\n"
    "[bold]replay[/bold] scores past months as the champion would have; [bold]alarms[/bold] and [bold]cases[/bold] "
    "list what is open; [bold]ui[/bold] opens Evidently's pages; "
    "[bold]take[/bold], [bold]retrain[/bold] and [bold]close[/bold] work on a case.",
)


class PeriodName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """How long a period is."""

    day = "day"
    week = "week"
    month = "month"


FromOption = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day", show_default=False)
]
ToOption = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day", show_default=False)
]
CaseArgument = Annotated[str, typer.Argument(help="the case's id, or how it begins")]
ByOption = Annotated[
    str, typer.Option(help="who does it, for the audit log", default_factory=getpass.getuser, show_default="this user")
]


@monitoring_app.callback()
def monitor(
    context: typer.Context,
    first: FromOption = None,
    last: ToOption = None,
    period: Annotated[
        list[PeriodName] | None, typer.Option(help="only periods so long; may be given again", show_default=False)
    ] = None,
    *,
    pages: Annotated[bool, typer.Option(help="add weeks and months to Evidently's workspace")] = True,
    retrain: Annotated[
        bool,
        typer.Option(
            help="start the training that an open alarm or the schedule asks for; not where --to names a past day"
        ),
    ] = True,
) -> None:
    """Look at what was scored."""
    if context.invoked_subcommand is not None:
        return
    _require_order(first, last)
    with starting():
        from pipelines.jobs.monitoring import monitor as run
        from pipelines.jobs.retraining import retrain_due
        from pipelines.told_monitoring import tell_monitoring, tell_retrained
        from reporting.monitoring.periods import PERIOD_KINDS
        from reporting.monitoring.thresholds import read_thresholds

    settings = load_settings()
    kinds = tuple(kind for kind in PERIOD_KINDS if not period or kind in {one.value for one in period})
    with working(settings):
        found = run(settings, _day(first), _day(last), reporter(), kinds=kinds, pages=pages)
        tell_monitoring(console(), found)
        if retrain and last is None:
            tell_retrained(console(), retrain_due(settings, read_thresholds(), reporter()))


@monitoring_app.command()
def replay(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the last day")],
    version: Annotated[
        str | None, typer.Option(help="of the credit model; its champion if left out", show_default=False)
    ] = None,
) -> None:
    """Score who was on the books at past month starts, on what was known then, so that those months can be watched.

    The rows say that they were replayed: nobody asked for them, and nothing was decided on them.
    """
    _require_order(first, last)
    with starting():
        from pipelines.jobs.scored_rows import replay_scores
        from training import champion, model_version

    settings = load_settings()
    with working(settings):
        registered = champion(settings) if version is None else model_version(version, settings)
        counts = replay_scores(settings, registered, first.date(), last.date(), reporter())
    if not counts:
        console().print(f"No features are computed for a month start from {first:%Y-%m-%d} to {last:%Y-%m-%d}.")
        return
    for day, rows in counts.items():
        console().print(f"{day}  {rows:>9,} rows scored by version {registered.version}", highlight=False)
    console().print(f"Now: jinkong monitor --from {min(counts)} --to {last:%Y-%m-%d}", highlight=False)


@monitoring_app.command("retrain")
def retrain_model(case: CaseArgument) -> None:
    """Train the model of a case again. The candidate waits to be approved; nothing promotes itself."""
    with starting():
        from pipelines.jobs.retraining import retrain_for
        from pipelines.told_monitoring import tell_retrained

    settings = load_settings()
    with working(settings):
        tell_retrained(console(), [retrain_for(settings, case, reporter())])


@monitoring_app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="to listen on, on this machine only")] = 8889,
) -> None:
    """Open Evidently's own pages on what was watched, until Ctrl-C."""
    with starting():
        from pipelines.evidently_ui import serve_evidently

    screen = console(error=True)
    serve_evidently(load_settings(), port, lambda url: screen.print(f"Evidently's pages: {url}", highlight=False))


@monitoring_app.command()
def alarms(*, every: Annotated[bool, typer.Option("--all", help="also those that have ended")] = False) -> None:
    """List alarms that are open: since when, what explains them, what to do."""
    with starting():
        from group.database import migrated, reading
        from pipelines.told_monitoring import tell_alarms
        from reporting.monitoring.kept import kept_alarms

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        found = kept_alarms(connection)
    tell_alarms(console(), [one for one in found if every or one.alarm.is_open])


@monitoring_app.command("cases")
def list_cases() -> None:
    """List cases, the newest first."""
    with starting():
        from group.database import migrated, reading
        from pipelines.told_monitoring import tell_cases
        from reporting.monitoring.cases import all_cases

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        tell_cases(console(), all_cases(connection))


@monitoring_app.command()
def take(case: CaseArgument, by: ByOption) -> None:
    """Take a case: from now on it is yours."""
    with starting():
        from datetime import UTC

        from group.database import migrated
        from reporting.monitoring.cases import take as take_case

    with migrated(load_settings().state_url) as engine, engine.begin() as connection:
        taken = take_case(connection, case, by=by, at=datetime.now(UTC))
    console().print(f"Case {taken.case_id} is {taken.owner}'s.", highlight=False)


@monitoring_app.command()
def close(
    case: CaseArgument,
    reason: Annotated[str, typer.Option(help="what was done, or why nothing is, for the audit log")],
    by: ByOption,
) -> None:
    """Close a case. Its alarm stays open while what raised it lasts, and opens no other case."""
    with starting():
        from datetime import UTC

        from group.database import migrated
        from reporting.monitoring.cases import close as close_case

    with migrated(load_settings().state_url) as engine, engine.begin() as connection:
        closed = close_case(connection, case, by=by, reason=reason, at=datetime.now(UTC))
    console().print(f"Case {closed.case_id} is closed.", highlight=False)


def _day(instant: datetime | None) -> "date | None":
    return None if instant is None else instant.date()


def _require_order(first: datetime | None, last: datetime | None) -> None:
    if first is not None and last is not None and last < first:
        raise typer.BadParameter(f"--to {last:%Y-%m-%d} lies before --from {first:%Y-%m-%d}.")

"""``jinkong train``: models of the group's own data, and of any table."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, reporter, starting, working

train_app = typer.Typer(
    invoke_without_command=True,
    help="Train the group's credit model on Ray and validate it out of time; [bold]table FILE[/bold] trains on any "
    "flat file instead.\n\n"
    "A trained model is registered in MLflow with its report. It is not served before somebody else has approved it: "
    "jinkong models approve.",
)


TuneOption = Annotated[
    float, typer.Option(min=0, max=10_000, help="minutes to search for better parameters first (Ray Tune, Optuna)")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="go on with a search that was stopped")]


@train_app.callback()
def train(
    context: typer.Context,
    again: Annotated[bool, typer.Option("--again", help="even if nothing has changed")] = False,  # noqa: FBT002
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
    tune: TuneOption = 0.0,
    resume: ResumeOption = False,  # noqa: FBT002
) -> None:
    """Train the credit model of the group, unless a command below is named."""
    if context.invoked_subcommand is not None:
        return
    with starting():
        from pipelines.jobs.training import train_credit
        from pipelines.told import tell_awaiting, tell_training
        from training import NoChampion, champion

    settings = load_settings()
    with working(settings):
        record = train_credit(
            settings, reporter(), again=again, trained_by=by, tune_minutes=tune, resume=resume
        )  # fmt: skip
        tell_training(console(), record)
        model = record.facts["model"]
        try:
            in_service = champion(settings, model["name"]).version
        except NoChampion:
            in_service = None
        if in_service == model["version"]:
            console().print(f"  version {in_service} is champion", highlight=False)
        else:
            tell_awaiting(console(), model["name"], model["version"])


@train_app.command()
def segments(
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
) -> None:
    """Train a model for each company, product and kind of customer, going on from the pooled credit model.

    What a segment cannot know by itself it keeps from the pooled model, and one with too few defaults is served by it.
    Each model is registered as credit_pd-COMPANY-PRODUCT-KIND, with its own report and approval.
    """
    with starting():
        from pipelines.jobs.segments import train_segments
        from pipelines.told import tell_segments

    settings = load_settings()
    with working(settings):
        tell_segments(console(), train_segments(settings, reporter(), trained_by=by))


@train_app.command()
def marketing(
    again: Annotated[bool, typer.Option("--again", help="even if nothing has changed")] = False,  # noqa: FBT002
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
) -> None:
    """Train what whitelists rest on: who answers a contact, whom a contact moves, what a customer brings in a year.

    Three models are registered, [bold]response[/bold], [bold]uplift[/bold] and [bold]customer_value[/bold], each with
    its report and its own approval. Uplift is learnt from customers whom campaigns held out at random.
    """
    with starting():
        from pipelines.jobs.marketing import train_marketing
        from pipelines.told import tell_marketing

    settings = load_settings()
    with working(settings):
        tell_marketing(console(), train_marketing(settings, reporter(), again=again, trained_by=by))


@train_app.command()
def losses(
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
) -> None:
    """Train what a default costs (loss given default, exposure at default); say what the portfolio will lose.

    Both models are simple and monotone, judged on the latest defaults, and registered with a report. The expected loss
    of twelve months is PD · LGD · EAD of every loan that runs, by company.
    """
    with starting():
        from pipelines.jobs.losses import train_losses
        from pipelines.told import tell_losses

    settings = load_settings()
    with working(settings):
        tell_losses(console(), train_losses(settings, reporter(), trained_by=by))


class MethodName(str, Enum):  # noqa: UP042
    """What is made of those who were declined."""

    ignored = "ignored"
    fuzzy = "fuzzy"
    parcelling = "parcelling"


@train_app.command()
def applications(
    method: Annotated[
        MethodName, typer.Option(help="what is made of the declined in the model that is registered")
    ] = MethodName.parcelling,
    prudence: Annotated[
        float, typer.Option(min=1.0, max=10.0, help="by how much worse the declined are than granted ones like them")
    ] = 1.2,
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
) -> None:
    """Train a PD of all who apply, by inferring how those would have turned out who were declined.

    Every method is tried, with and without prudence, and what each makes of the declined is shown; on a simulated
    group, whose truth is known, with the bias that is left. The chosen one is registered as application_pd.
    """
    with starting():
        from pipelines.jobs.applications import train_applications
        from pipelines.told import tell_applications

    settings = load_settings()
    with working(settings):
        trained = train_applications(settings, reporter(), method.value, prudence, trained_by=by)
        tell_applications(console(), trained)


class TaskName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """What the probability is of."""

    credit = "credit"
    response = "response"


@train_app.command()
def table(
    file: Annotated[Path, typer.Argument(help="a CSV, gzipped CSV, Parquet or Excel file with a header")],
    target: Annotated[str, typer.Option(help="the column to predict")],
    task: Annotated[
        TaskName, typer.Option(help="credit: a default, more is worse; response: more is better")
    ] = TaskName.credit,
    positive: Annotated[
        str | None,
        typer.Option(help="the target's value that is the event, where 1 or yes is none", show_default=False),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="when a row was: the latest fifth is the test", show_default=False)
    ] = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="rows stand in order of time")] = False,  # noqa: FBT002
    identifier: Annotated[
        str | None, typer.Option("--id", help="whom a row is about: all rows of one stay together", show_default=False)
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="a column not to use; may be repeated")] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="a column to use although it looks like a name or a copy; may be repeated")
    ] = None,
    rising: Annotated[
        list[str] | None, typer.Option(help="a column with which the probability may only rise; may be repeated")
    ] = None,
    falling: Annotated[
        list[str] | None, typer.Option(help="a column with which it may only fall; may be repeated")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="of a workbook; the first if not given", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="of the model; the file's if not given", show_default=False)] = None,
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
    tune: TuneOption = 0.0,
    resume: ResumeOption = False,  # noqa: FBT002
) -> None:
    """Train on any flat file: it is told how each column was read, and the model gets the same report as any other.

    A fifth of the rows is kept for the test: the latest, if --time or --ordered says which those are. The model is
    registered under NAME; once approved, POST /v1/score and jinkong score use it.
    """
    with starting():
        from pipelines.jobs.table import read_table_for, train_table
        from pipelines.told import tell_awaiting, tell_readings, tell_trained_table
        from training.table import TableRequest, model_name

    request = TableRequest(
        path=file, target=target, task=task.value, positive=positive, time=time, identifier=identifier, ordered=ordered,
        drop=tuple(drop or ()), keep=tuple(keep or ()), rising=tuple(rising or ()), falling=tuple(falling or ()),
        sheet=sheet,
    )  # fmt: skip
    model_name(request, name)
    settings = load_settings()
    with working(settings):
        frame = read_table_for(request, reporter())
        tell_readings(console(), frame)
        trained = train_table(
            settings, frame, request, reporter(), name=name, trained_by=by, tune_minutes=tune, resume=resume
        )
        tell_trained_table(console(), trained)
    if trained.candidate.validation.may_become_champion:
        tell_awaiting(console(), trained.registered.name, trained.registered.version)

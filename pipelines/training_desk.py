"""``jinkong train``: models of the group's own data, and of any table."""

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


@train_app.callback()
def train(
    context: typer.Context,
    again: Annotated[bool, typer.Option("--again", help="even if nothing has changed")] = False,  # noqa: FBT002
    by: Annotated[str | None, typer.Option(help="who trains, if not this user", show_default=False)] = None,
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
        record = train_credit(settings, reporter(), again=again, trained_by=by)
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

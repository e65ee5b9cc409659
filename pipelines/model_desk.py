"""``jinkong models``: what the risk committee does with trained models."""

from pathlib import Path
from typing import Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, starting, working

models_app = typer.Typer(
    no_args_is_help=True,
    help="The registry as a risk committee sees it: which versions there are, what was measured of each, and which is "
    "champion, the one that is served.\n\n"
    "A version that misses a hard limit (training/validation/limits.yaml) cannot become champion; one that meets them "
    "all has to be approved by somebody who did not train it. Each approval and roll-back is in the audit log.",
)

NameArgument = Annotated[str, typer.Argument(help="of the model, such as credit_pd")]
ByOption = Annotated[str, typer.Option(help="who decides, for the audit log")]
ReasonOption = Annotated[str, typer.Option(help="why, for the audit log")]


@models_app.command("list")
def list_models(name: Annotated[str | None, typer.Argument(help="only this model's versions")] = None) -> None:
    """List the versions, the newest first, with what they reached and who approved them."""
    from rich.table import Table

    with starting():
        from training import versions

    rows = versions(load_settings(), name)
    if not rows:
        console().print("The registry has no models yet: `jinkong train` or `jinkong train table FILE` makes one.")
        return
    table = Table("model", "version", "is", "Gini", "hard limits", "trained by", "approved by", "data")
    for row in rows:
        gini = "" if row.gini is None else f"{row.gini:.4f}"
        table.add_row(
            row.name, row.version, ", ".join(row.aliases), gini, "met" if row.met else "not met", row.trained_by,
            row.approved_by, row.source,
        )  # fmt: skip
    console().print(table)


@models_app.command()
def report(
    name: NameArgument,
    version: Annotated[str | None, typer.Option(help="the one trained last if not given", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(help="an HTML file to write", show_default=False)] = None,
) -> None:
    """Write the validation report of a version as HTML and say where it is."""
    with starting():
        from pipelines.jobs.training import keep_report
        from pipelines.workspace import Workspace
        from training import NoChampion, latest_candidate, model_version, report_page

    settings = load_settings()
    found = model_version(version, settings, name) if version else latest_candidate(settings, name)
    if found is None:
        raise NoChampion(f"The registry has no model '{name}'; `jinkong models list` shows what there is.")
    page = report_page(found, settings)
    if output is not None:
        output.write_text(page)
        where = str(output)
    else:
        where = keep_report(Workspace.of(settings), found, page)
    console().print(where, soft_wrap=True, highlight=False)


@models_app.command()
def approve(
    name: NameArgument,
    by: ByOption,
    reason: ReasonOption,
    version: Annotated[str | None, typer.Option(help="the one trained last if not given", show_default=False)] = None,
) -> None:
    """Make a version champion. It is refused if a hard limit is not met, or if BY is who trained it."""
    with starting():
        from pipelines.model_approval import approve_latest

    settings = load_settings()
    with working(settings):
        found = approve_latest(settings, name, by=by, reason=reason, version=version)
    console().print(f"Version {found.version} of '{name}' is champion, approved by {by}.", highlight=False)


@models_app.command("roll-back")
def roll_back(name: NameArgument, by: ByOption, reason: ReasonOption) -> None:
    """Make the version champion again that was before the present one."""
    with starting():
        from pipelines.model_approval import roll_back_model

    settings = load_settings()
    with working(settings):
        found = roll_back_model(settings, name, by=by, reason=reason)
    console().print(f"Version {found.version} of '{name}' is champion again.", highlight=False)


@models_app.command()
def challenge(
    name: NameArgument,
    by: ByOption,
    reason: ReasonOption,
    version: Annotated[str | None, typer.Option(help="the one trained last if not given", show_default=False)] = None,
    share: Annotated[float, typer.Option(min=0, max=0.5, help="of the parties that it answers for")] = 0.0,
) -> None:
    """Try a version beside the champion. It scores what the champion scores, in the shadow, and changes no answer.

    With --share, it answers for that share of the parties, always the same ones, and must meet what a champion must.
    """
    with starting():
        from pipelines.model_approval import try_beside

    settings = load_settings()
    with working(settings):
        found = try_beside(settings, name, share=share, by=by, reason=reason, version=version)
    what = f"answers for {share:.0%} of the parties" if share else "scores in the shadow"
    console().print(f"Version {found.version} of '{name}' {what}.", highlight=False)


@models_app.command("end-challenge")
def end_challenge(name: NameArgument, by: ByOption, reason: ReasonOption) -> None:
    """Try the challenger no more: the champion answers everybody."""
    with starting():
        from pipelines.model_approval import try_no_more

    settings = load_settings()
    with working(settings):
        found = try_no_more(settings, name, by=by, reason=reason)
    console().print(f"Version {found.version} of '{name}' is tried no more.", highlight=False)


@models_app.command()
def shadow(name: NameArgument) -> None:
    """Compare what challengers would have answered with what was answered."""
    from rich.table import Table

    with starting():
        from group.database import migrated, reading
        from serving.shadow import shadow_summaries

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        rows = shadow_summaries(connection, name)
    if not rows:
        console().print(f"Nothing of '{name}' was scored in the shadow: `jinkong models challenge` begins it.")
        return
    table = Table("version", "beside", "scores", "mean answered", "mean in the shadow", "other grade")
    for row in rows:
        table.add_row(
            row.version, row.answered_by, f"{row.scores:,}", f"{row.mean_answered:.4%}", f"{row.mean_shadow:.4%}",
            f"{row.other_grade:.1%}",
        )  # fmt: skip
    console().print(table)


@models_app.command()
def history(name: NameArgument) -> None:
    """Show who approved and rolled back which version, when and why: the audit log's records on a model."""
    from rich.table import Table

    with starting():
        from group.database import migrated, reading
        from training import approvals

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        rows = approvals(connection, name)
    table = Table("when (UTC)", "who", "what", "version", "why")
    for row in rows:
        what = row["action"].removeprefix("model.").replace("_", " ")
        table.add_row(f"{row['at']:%Y-%m-%d %H:%M}", row["by"], what, row["version"], row["reason"])
    console().print(table)

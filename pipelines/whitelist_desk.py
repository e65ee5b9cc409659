"""``jinkong whitelist``: what marketing does with offers."""

from pathlib import Path
from typing import Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, reporter, starting, working

whitelist_app = typer.Typer(
    no_args_is_help=True,
    help="Marketing whitelists: who is offered what, at which limit and price, by which channel, and why.\n\n"
    "A list is made by a plan, a YAML file ([bold]example[/bold] prints one), from the approved models credit_pd, "
    "response, uplift and customer_value. Consent, do-not-contact requests, frequency caps and cooling-off are "
    "honoured; a random part is held out and not contacted, so that the next uplift model can learn. Each version is "
    "kept with all that it was made from, and is a draft until it is released.",
)

NameArgument = Annotated[str, typer.Argument(help="of the list, as its plan says")]
VersionOption = Annotated[int | None, typer.Option(min=1, help="the latest if not given", show_default=False)]
ByOption = Annotated[str, typer.Option(help="who decides, for the audit log")]
ReasonOption = Annotated[str, typer.Option(help="why, for the audit log")]


@whitelist_app.command()
def example() -> None:
    """Print a plan to begin with, every line explained."""
    from training.whitelist.plan import EXAMPLE_FILE

    typer.echo(EXAMPLE_FILE.read_text(encoding="utf-8"), nl=False)


@whitelist_app.command()
def make(
    plan: Annotated[Path, typer.Argument(help="the plan as YAML; `jinkong whitelist example` prints one")],
    by: Annotated[str | None, typer.Option(help="who makes it, if not this user", show_default=False)] = None,
) -> None:
    """Make the next version of a list, keep it as a draft, and write its page."""
    with starting():
        from pipelines.jobs.whitelist import keep_page, make_and_keep
        from pipelines.told import tell_whitelist
        from training.whitelist.plan import read_plan

    settings = load_settings()
    read, text = read_plan(plan)
    with working(settings):
        kept = make_and_keep(settings, read, text, reporter(), by=by)
        tell_whitelist(console(), kept, keep_page(settings, kept))


@whitelist_app.command("list")
def list_versions(name: Annotated[str | None, typer.Argument(help="only this list's versions")] = None) -> None:
    """List the versions, the newest first."""
    from rich.table import Table

    with starting():
        from group.database import migrated, reading
        from training.whitelist.kept import all_whitelists

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        rows = all_whitelists(connection, name)
    if not rows:
        console().print("There are no whitelists yet: `jinkong whitelist make PLAN` makes one.")
        return
    table = Table("list", "version", "as of", "offers", "held out", "made by", "released by", "sha256")
    for row in rows:
        table.add_row(
            row.name, str(row.version), f"{row.as_of:%Y-%m-%d}", f"{row.offers:,}", f"{row.held_out:,}", row.made_by,
            row.released_by or "a draft", row.sha256[:12],
        )  # fmt: skip
    console().print(table)


@whitelist_app.command()
def report(name: NameArgument, version: VersionOption = None) -> None:
    """Write a version's page as HTML and say where it is."""
    with starting():
        from group.database import migrated, reading
        from pipelines.jobs.whitelist import keep_page
        from training.whitelist.kept import whitelist

    settings = load_settings()
    with migrated(settings.state_url) as engine, reading(engine) as connection:
        kept = whitelist(connection, name, version)
    console().print(str(keep_page(settings, kept)), soft_wrap=True, highlight=False)


@whitelist_app.command()
def release(name: NameArgument, by: ByOption, reason: ReasonOption, version: VersionOption = None) -> None:
    """Let a version be used: served by the API, exported, and counted by frequency caps."""
    with starting():
        from datetime import UTC, datetime

        from group.database import migrated
        from training.whitelist.kept import release as let_use

    settings = load_settings()
    with working(settings), migrated(settings.state_url) as engine, engine.begin() as connection:
        kept = let_use(connection, name, version, by=by, reason=reason, at=datetime.now(UTC))
    console().print(f"Version {kept.version} of '{name}' is released by {by}.", highlight=False)


@whitelist_app.command()
def export(
    name: NameArgument,
    version: Annotated[
        int | None, typer.Option(min=1, help="the newest released one if not given", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="a folder; a file of the same name is replaced")] = Path("export"),
    written_as: Annotated[str, typer.Option("--format", help="csv, parquet or xlsx")] = "csv",
    company: Annotated[str | None, typer.Option(help="only this company's offers", show_default=False)] = None,
    with_held_out: Annotated[  # noqa: FBT002
        bool, typer.Option("--with-held-out", help="those who must not be contacted too, marked in held_out")
    ] = False,
) -> None:
    """Write a list's offers to a file, with a manifest of its hash. A draft is written only if its version is named."""
    with starting():
        from pipelines.whitelist_export import export_offers

    path, count = export_offers(
        load_settings(), name, version, output, written_as, company=company, with_held_out=with_held_out
    )
    console().print(f"{count:,} offers: {path}", soft_wrap=True, highlight=False)


@whitelist_app.command()
def verify(name: NameArgument, version: VersionOption = None) -> None:
    """Make a version again from what it was made from, and compare it with what was kept."""
    with starting():
        from pipelines.jobs.whitelist import made_again

    settings = load_settings()
    with working(settings):
        kept, again = made_again(settings, name, version, reporter())
    if again != kept.sha256:
        console().print(
            f"Version {kept.version} of '{name}' comes out differently: {again} instead of {kept.sha256}; the data, "
            "the features or the code changed since.",
            soft_wrap=True,
            highlight=False,
        )
        raise typer.Exit(1)
    console().print(f"Version {kept.version} of '{name}' comes out the same: {again}.", soft_wrap=True, highlight=False)


@whitelist_app.command("do-not-contact")
def do_not_contact(
    by: ByOption,
    reason: ReasonOption,
    customer: Annotated[list[str] | None, typer.Argument(help="COMPANY/CUSTOMER, as often as needed")] = None,
    file: Annotated[
        Path | None, typer.Option(help="a table with the columns legal_entity and customer_id", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="they may be contacted again")] = False,  # noqa: FBT002
) -> None:
    """Keep customers off every list of every company from now on, or let them be contacted again."""
    with starting():
        from pipelines.whitelist_export import keep_off

    settings = load_settings()
    with working(settings):
        count = keep_off(settings, customer or [], file, by=by, reason=reason, stop=not again)
    what = "may be contacted again" if again else "will not be contacted"
    console().print(f"{count:,} customers {what}.", highlight=False)

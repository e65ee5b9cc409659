"""``jinkong pre-credit``: the policy by which limits are offered ahead of an application."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, starting, working

precredit_app = typer.Typer(
    no_args_is_help=True,
    help="The pre-credit policy: which products a company offers ahead of an application, to whom, how much, at what "
    "price by grade, and the rules that stop an offer.\n\nA policy is a YAML file ([bold]example[/bold] prints one). "
    "The one released last is in force; each version is kept, and decisions made by it can be replayed.",
)

PolicyArgument = Annotated[Path, typer.Argument(help="the policy as YAML; `jinkong pre-credit example` prints one")]


@precredit_app.command()
def example() -> None:
    """Print a policy to begin with, every part explained."""
    from workflow.pre_credit import EXAMPLE_FILE

    typer.echo(EXAMPLE_FILE.read_text(encoding="utf-8"), nl=False)


@precredit_app.command()
def check(policy: PolicyArgument) -> None:
    """Say whether a policy could be released, and if not, why."""
    with starting():
        from workflow.pre_credit import read_policy

    read, _ = read_policy(policy)
    rules = len(read.rules) + sum(len(product.rules) for product in read.products)
    console().print(f"{len(read.products)} products and {rules} rules: this can be released.", highlight=False)


@precredit_app.command()
def release(
    policy: PolicyArgument,
    reason: Annotated[str, typer.Option(help="why, for the audit log")],
    by: Annotated[
        str,
        typer.Option(help="who decides, for the audit log", default_factory=getpass.getuser, show_default="this user"),
    ],
) -> None:
    """Put a policy in force: the next request is decided by it."""
    with starting():
        from datetime import UTC, datetime

        from group.database import migrated
        from workflow.pre_credit import read_policy, release_policy

    settings = load_settings()
    _, text = read_policy(policy)
    with working(settings), migrated(settings.state_url) as engine, engine.begin() as connection:
        kept = release_policy(connection, text, by=by, reason=reason, at=datetime.now(UTC))
    console().print(f"Version {kept.version} of the policy is in force.", highlight=False)


@precredit_app.command("list")
def list_versions() -> None:
    """List the released versions, the one in force first."""
    from rich.table import Table

    with starting():
        from group.database import migrated, reading
        from workflow.pre_credit import all_policies

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        rows = all_policies(connection)
    if not rows:
        console().print("No policy is released yet: `jinkong pre-credit example` prints one to begin with.")
        return
    table = Table("version", "released", "by", "why", "sha256")
    for row in rows:
        table.add_row(
            str(row.version), f"{row.released_at:%Y-%m-%d %H:%M}", row.released_by, row.reason, row.sha256[:12]
        )
    console().print(table)


@precredit_app.command()
def show(version: Annotated[int, typer.Argument(min=1, help="as `jinkong pre-credit list` names it")]) -> None:
    """Print the text of a released version."""
    with starting():
        from group.database import migrated, reading
        from workflow.pre_credit import policy_version

    with migrated(load_settings().state_url) as engine, reading(engine) as connection:
        typer.echo(policy_version(connection, version).text, nl=False)

"""``jinkong identity``: what officers and the risk committee do with the parties."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from group.errors import InputError
from group.settings import Settings, load_settings
from pipelines.terminal import console, reporter, starting, working

if TYPE_CHECKING:
    from features.identity.links import CustomerKey

_SHOWN: Final = 20

identity_app = typer.Typer(
    invoke_without_command=True,
    help="One customer across the group: link customers to parties, and rule on those who may be one.\n\n"
    "Equal identity tokens are certain; what they leave is linked by probability (Splink); what is neither sure nor "
    "unlikely waits for an officer. [bold]review[/bold] shows what waits, [bold]rule[/bold] decides it or undoes a "
    "merge, [bold]exposure[/bold] sums what connected parties owe, [bold]report[/bold] writes it all as HTML.",
)

CompanyOption = Annotated[
    list[str] | None, typer.Option("--company", help="only pairs of these companies' customers; may be repeated")
]


@identity_app.callback()
def identity(
    context: typer.Context,
    again: Annotated[bool, typer.Option("--again", help="even if nothing has changed")] = False,  # noqa: FBT002
) -> None:
    """Link the customers again, with the rulings that were made meanwhile, unless a command below is named."""
    if context.invoked_subcommand is not None:
        return
    with starting():
        from pipelines.jobs.identity import link_customers
        from pipelines.told import tell_identity

    settings = load_settings()
    with working(settings):
        _require_customers(settings)
        tell_identity(console(), link_customers(settings, reporter(), again=again))


@identity_app.command()
def review(company: CompanyOption = None, limit: Annotated[int, typer.Option(min=1, max=10_000)] = _SHOWN) -> None:
    """Show the pairs of customers that wait for an officer, the likeliest first."""
    from rich.table import Table

    from features.identity.customers import known_customers
    from features.identity.reviews import review_cases
    from features.identity.rulings import open_reviews
    from group.database import migrated
    from group.entities import LEGAL_ENTITIES, legal_entity
    from pipelines.workspace import Workspace

    settings = load_settings()
    companies = [legal_entity(code).code for code in company] if company else list(LEGAL_ENTITIES)
    customers = known_customers(_require_customers(settings))
    with migrated(settings.state_url) as engine:
        cases = review_cases(customers, open_reviews(engine, companies, limit=limit))
    table = Table("left", "right", "agree on", "differ in", "probability")
    for case in cases:
        told = "–" if case.probability is None else f"{case.probability:.1%}"
        table.add_row(str(case.left), str(case.right), ", ".join(case.agree), ", ".join(case.differ), told)
    console().print(table if cases else f"Nothing waits for an officer in {Workspace.of(settings).home}.")


@identity_app.command()
def rule(
    left: Annotated[str, typer.Argument(help="COMPANY/CUSTOMER, as review shows it")],
    right: Annotated[str, typer.Argument(help="COMPANY/CUSTOMER")],
    verdict: Annotated[
        str, typer.Argument(help="same, different, or withdrawn: what was ruled before no longer holds")
    ],
    by: Annotated[str, typer.Option(help="who rules; it stands in the audit log")],
    reason: Annotated[str, typer.Option(help="why, in a sentence")],
) -> None:
    """Rule that two customers are one or are not; `different` also undoes a merge. Then run `jinkong identity`."""
    from features.identity.customers import known_customers
    from features.identity.rulings import Ruling, Verdict
    from features.identity.rulings import rule as keep
    from group.database import migrated

    if verdict not in list(Verdict):
        raise InputError(f"'{verdict}' is no verdict; give one of {', '.join(Verdict)}.")
    settings = load_settings()
    customers = known_customers(_require_customers(settings))
    known = set(customers.select("legal_entity", "customer_id").rows())
    keys = [_customer(text, known) for text in (left, right)]
    with migrated(settings.state_url) as engine:
        keep(engine, Ruling(keys[0], keys[1], Verdict(verdict), by, reason, datetime.now(UTC)))
    console().print("Kept. Run `jinkong identity` to link with it, then `jinkong features`.")


@identity_app.command()
def exposure(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="what was known then (UTC); now if left out")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1_000, help="how many groups to show")] = _SHOWN,
) -> None:
    """Sum what each group of connected parties (an owner and all that it owns) owes the group's companies."""
    from rich.table import Column, Table

    from features.identity.ownership import group_exposures

    instant = as_of.replace(tzinfo=UTC) if as_of else datetime.now(UTC)
    exposures = group_exposures(_require_customers(load_settings()), instant).head(top)
    counts = [Column(name, justify="right") for name in ("parties", "companies", "loans", "exposure (CNY)")]
    table = Table("ultimate owner", *counts)
    for row in exposures.to_dicts():
        numbers = (row["parties"], row["companies"], row["loans"], row["exposure"])
        table.add_row(row["ultimate_owner_party_id"], *(f"{number:,}" for number in numbers))
    console().print(table)


@identity_app.command()
def report(
    output: Annotated[
        Path | None, typer.Option(help="the file to write; HOME/reports/identity.html if left out")
    ] = None,
) -> None:
    """Write an HTML report: what customers were recognised by, what waits, what connected parties owe."""
    with starting():
        from pipelines.reports import identity_report

    settings = load_settings()
    _require_customers(settings)
    console().print(f"{identity_report(settings, output)}", soft_wrap=True, highlight=False)


def _customer(text: str, known: set[tuple[str, str]]) -> "CustomerKey":
    from features.identity.links import CustomerKey

    company, _, customer = text.partition("/")
    if (company, customer) not in known:
        raise InputError(f"'{text}' is no customer here; write COMPANY/CUSTOMER as `jinkong identity review` shows it.")
    return CustomerKey(company, customer)


def _require_customers(settings: Settings) -> Path:
    from features import read_manifest
    from pipelines.workspace import Workspace

    workspace = Workspace.of(settings)
    read_manifest(workspace.data)
    return workspace.canonical

"""``jinkong access``: who may sign in, with which roles, for which companies."""

import getpass
from enum import Enum
from typing import Annotated, Final

import typer

from group.entities import LEGAL_ENTITIES
from group.roles import ROLES
from group.settings import load_settings
from pipelines.terminal import console

_LISTED_ROLES: Final = "\n\n".join(
    f"[bold]{role.name}[/bold] {role.name_zh}: {', '.join(sorted(role.scopes))}"
    + (", of every company" if role.group_wide else "")
    for role in ROLES.values()
)

access_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Who may sign in at the API. A [bold]client[/bold] is a program and signs in with its name and secret; a "
    "[bold]person[/bold] gets a password for the first sign-in and chooses another. An account acts for the companies "
    "that it is given, and for no other.",
    epilog=f"Roles:\n\n{_LISTED_ROLES}",
)


class KindName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """What signs in."""

    client = "client"
    person = "person"


AccountArgument = Annotated[str, typer.Argument(help="of the account")]
ByOption = Annotated[
    str, typer.Option(help="who decides, for the audit log", default_factory=getpass.getuser, show_default="this user")
]


@access_app.command()
def add(
    name: AccountArgument,
    role: Annotated[list[str], typer.Option(help="may be given several times; see below")],
    by: ByOption,
    company: Annotated[
        list[str] | None, typer.Option(help=f"may be given several times: {', '.join(LEGAL_ENTITIES)}")
    ] = None,
    kind: KindName = KindName.client,
    rate: Annotated[float | None, typer.Option(help="requests a second, if not the usual", min=0.01)] = None,
) -> None:
    """Make an account and print its secret, which is kept nowhere: who loses it needs `jinkong access reset`."""
    from pipelines import access

    secret = access.add(
        load_settings(), name, kind.value, role, company or [], by=by, requests_per_second=rate
    )  # fmt: skip
    _tell_secret(name, secret, first=kind is KindName.person)


@access_app.command()
def reset(name: AccountArgument, by: ByOption) -> None:
    """Give an account a new secret; the old one opens nothing any more."""
    from pipelines import access

    settings = load_settings()
    secret = access.reset(settings, name, by=by)
    [found] = [account for account in access.all_accounts(settings) if account.name == name]
    _tell_secret(name, secret, first=found.kind == "person")


@access_app.command()
def close(name: AccountArgument, by: ByOption) -> None:
    """Let an account sign in no more; tokens that it holds run out within minutes."""
    from pipelines import access

    access.close_or_open(load_settings(), name, disabled=True, by=by)
    console().print(f"'{name}' is closed.", highlight=False)


@access_app.command("open")
def open_again(name: AccountArgument, by: ByOption) -> None:
    """Let a closed account sign in again."""
    from pipelines import access

    access.close_or_open(load_settings(), name, disabled=False, by=by)
    console().print(f"'{name}' is open.", highlight=False)


@access_app.command("list")
def list_all() -> None:
    """List the accounts."""
    from rich.table import Table

    from pipelines import access

    found = access.all_accounts(load_settings())
    if not found:
        console().print("There are no accounts yet: `jinkong access add NAME --role ROLE --company COMPANY` makes one.")
        return
    table = Table("account", "is a", "roles", "companies", "")
    for account in found:
        state = "closed" if account.disabled else "first sign-in" if account.must_change else ""
        companies = "all" if set(account.legal_entities) == set(LEGAL_ENTITIES) else ", ".join(account.legal_entities)
        table.add_row(account.name, account.kind, ", ".join(account.roles), companies, state)
    console().print(table)


def _tell_secret(name: str, secret: str, *, first: bool) -> None:
    screen = console()
    screen.print(f"{'password' if first else 'secret'} of '{name}': {secret}", highlight=False, soft_wrap=True)
    if first:
        screen.print(
            "It is good for a day and has to be changed first: POST /v1/account/password.", highlight=False
        )  # fmt: skip

"""The ``jinkong`` command."""

import sys
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from group.errors import InputError, JinkongError
from group.libraries import prepare_libraries
from group.settings import load_settings
from pipelines.access_desk import access_app
from pipelines.feature_desk import features_app
from pipelines.identity_desk import identity_app
from pipelines.model_desk import models_app
from pipelines.monitoring_desk import monitoring_app
from pipelines.precredit_desk import precredit_app
from pipelines.quality_desk import sources_app
from pipelines.terminal import console, reporter, starting, working
from pipelines.training_desk import train_app
from pipelines.whitelist_desk import whitelist_app

if TYPE_CHECKING:
    from features import ForeignSource, Source

_EXAMPLES = 3
"""Rejections of a table that --dry-run shows."""

app = typer.Typer(
    name="jinkong",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Customer intelligence and risk scoring for financial holding groups (金控).\n\n"
    "Raw data become a served score in five steps: [bold]data[/bold], [bold]features[/bold], [bold]train[/bold], "
    "[bold]models approve[/bold], [bold]serve[/bold]; [bold]demo[/bold] runs them all. A step that is run again does "
    "only what has changed. "
    "Everything is kept below the home folder: JINKONG_HOME, by default ./var.",
    epilog="Settings are environment variables: jinkong doctor --settings lists them.",
)


class SourceName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """Where data come from."""

    simulated = "simulated"
    uci_credit_card = "uci-credit-card"
    uci_bank_marketing = "uci-bank-marketing"
    folder = "folder"
    database = "database"


class SizeName(str, Enum):  # noqa: UP042
    """How large a group is simulated."""

    small = "small"
    medium = "medium"
    large = "large"


SourceOption = Annotated[
    SourceName,
    typer.Option(
        help="[bold]simulated[/bold]: a made-up group; [bold]uci-credit-card[/bold]: the UCI file "
        "'default of credit card clients', [bold]uci-bank-marketing[/bold]: the one of a bank's calls; "
        "[bold]folder[/bold]: your own tables as CSV, Parquet or Excel; [bold]database[/bold]: those of a database"
    ),
]
PathOption = Annotated[
    Path | None, typer.Option(help="the file of a UCI source, or the folder of tables", show_default=False)
]
SizeOption = Annotated[
    SizeName,
    typer.Option(
        help="of the simulated group: small 5k parties and 0.5M transactions, medium 50k and 10M, large 500k and 100M"
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(help="of the simulated group; the same seed gives the same group", show_default=False, min=0),
]
AgainOption = Annotated[bool, typer.Option("--again", help="do it even if nothing has changed")]


@app.command()
def data(
    source: SourceOption = SourceName.simulated,
    path: PathOption = None,
    size: SizeOption = SizeName.small,
    seed: SeedOption = None,
    observed_until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="of a folder or database: defaults before this day (UTC) are known completely",
            show_default=False,
        ),
    ] = None,
    horizon_months: Annotated[
        int, typer.Option(min=1, max=60, help="of a folder or database: a default within so many months is the label")
    ] = 12,
    url: Annotated[
        str | None,
        typer.Option(help="of a database: sqlite:///FILE or postgresql+psycopg://USER@HOST/DB", show_default=False),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(help="YAML that says which foreign column and code is which canonical one", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be rejected, and keep nothing")] = False,
    again: AgainOption = False,
) -> None:
    """Load raw tables through their contracts, bad rows to quarantine with the reason; link customers to parties."""
    with starting():
        from features import preview
        from pipelines.jobs.data import identity_tokens, load_data
        from pipelines.jobs.identity import link_customers
        from pipelines.told import tell_data, tell_identity, tell_preview

    settings = load_settings()
    if dry_run or mapping is not None or source is SourceName.database:
        foreign = _foreign_source(source, path, url, mapping, observed_until, horizon_months)
        if dry_run:
            tokens = identity_tokens(settings)
            tell_preview(console(), preview(foreign, examples=_EXAMPLES, now=datetime.now(UTC), tokens=tokens))
            return
        chosen: Source = foreign
    else:
        chosen = _source(source, path, size, seed, observed_until, horizon_months)
    with working(settings):
        tell_data(console(), load_data(settings, chosen, reporter(), again=again))
        tell_identity(console(), link_customers(settings, reporter(), again=again))


app.add_typer(identity_app, name="identity")
app.add_typer(features_app, name="features")
app.add_typer(sources_app, name="sources")
app.add_typer(train_app, name="train")
app.add_typer(models_app, name="models")
app.add_typer(access_app, name="access")
app.add_typer(whitelist_app, name="whitelist")
app.add_typer(precredit_app, name="pre-credit")
app.add_typer(monitoring_app, name="monitor")


@app.command("export")
def export_tables(
    names: Annotated[list[str] | None, typer.Argument(help="canonical tables, views, training_frame")] = None,
    output: Annotated[Path, typer.Option(help="a folder; files of the same names are replaced")] = Path("export"),
    written_as: Annotated[str, typer.Option("--format", help="csv, parquet or xlsx")] = "parquet",
    company: Annotated[str | None, typer.Option(help="only this company's rows", show_default=False)] = None,
) -> None:
    """Write tables, features or the training frame to files, with a manifest of their hashes; without names, list."""
    with starting():
        from pipelines.export import export_names, list_names

    settings = load_settings()
    if not names:
        list_names(settings, console())
        return
    with working(settings):
        manifest = export_names(settings, names, output, written_as, company, reporter())
    console().print(f"{manifest}", soft_wrap=True, highlight=False)


@app.command()
def score(
    name: Annotated[str, typer.Argument(help="the registered model, such as one of jinkong train table")],
    file: Annotated[Path, typer.Argument(help="rows to score: CSV, gzipped CSV, Parquet or Excel")],
    output: Annotated[Path, typer.Option(help="where to write them, by suffix: .csv, .parquet or .xlsx")],
    version: Annotated[str | None, typer.Option(help="the champion if not given", show_default=False)] = None,
    reasons: Annotated[bool, typer.Option(help="what weighed against each row")] = True,
) -> None:
    """Score every row of a file: its probability, score, grade and reasons beside its own columns."""
    with starting():
        from pipelines.scoring import score_file

    scored = score_file(load_settings(), name, file, output, reporter(), version=version, reasons=reasons)
    screen = console()
    for note in scored.notes:
        screen.print(f"  warning: {note}", highlight=False, soft_wrap=True, markup=False)
    screen.print(f"  {scored.rows:,} rows by {name} version {scored.model.version}: {output}", highlight=False)


@app.command()
def serve() -> None:
    """Serve the API until Ctrl-C. It starts without a champion too, and is ready as soon as there is one."""
    with starting():
        from pipelines.access import FIRST_ACCOUNT, first_password
        from serving import serve as run

    settings, screen = load_settings(), console(error=True)

    def announce(url: str) -> None:
        password = first_password(settings)
        if password is not None:
            screen.print(
                f"Nobody could sign in yet: '{FIRST_ACCOUNT}' can for a day, with the password {password}, to be "
                "changed at POST /v1/account/password. `jinkong access add` makes accounts.",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
        screen.print(f"The API's page: {url}/docs", highlight=False)

    run(settings, announce)


@app.command()
def demo(
    source: SourceOption = SourceName.simulated,
    path: PathOption = None,
    size: SizeOption = SizeName.small,
    seed: SeedOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="leave the API up at the end")] = False,
) -> None:
    """Run all steps from raw data to ten scores over HTTP, below HOME/demo, and say where to look."""
    with starting():
        from pipelines.demo import run_demo

    settings = load_settings()
    if source not in (SourceName.simulated, SourceName.uci_credit_card):
        raise InputError(
            "The demo runs on 'simulated' or 'uci-credit-card'; for your own tables run data, features, train."
        )
    run_demo(settings, _source(source, path, size, seed), reporter(), console(), keep=keep)


@app.command()
def doctor(
    settings_list: Annotated[bool, typer.Option("--settings", help="list every setting and end")] = False,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="bring the database's tables to this version first")
    ] = False,
) -> None:
    """Check this machine and every configured address, and say what to do about what is wrong."""
    with starting():
        from pipelines import doctor as practice

    if settings_list:
        practice.tell_settings(console())
        return
    if not practice.examine(load_settings(), console(), migrate_first=migrate):
        raise typer.Exit(3)


def main() -> None:
    """Run the command. An error of ours is one sentence on stderr and an exit code; nobody is shown a traceback."""
    prepare_libraries()
    try:
        app()
    except JinkongError as error:
        console(error=True).print(f"jinkong: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        text = f"jinkong: The system refused{where}: {error.strerror or error}. Check rights and room on the disk."
        console(error=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)


def _foreign_source(
    name: SourceName,
    path: Path | None,
    url: str | None,
    mapping: Path | None,
    observed_until: datetime | None,
    horizon_months: int,
) -> "ForeignSource":
    from features import DatabaseTables, FolderTables, ForeignSource, read_mapping

    if name not in (SourceName.folder, SourceName.database):
        raise InputError("--mapping and --dry-run are for --source folder or database.")
    if observed_until is None:
        raise InputError(f"--source {name.value} needs --observed-until, the day up to which all defaults are in it.")
    tables: DatabaseTables | FolderTables
    if name is SourceName.database:
        if url is None:
            raise InputError("--source database needs --url, such as sqlite:///group.db.")
        tables, known_as = DatabaseTables(url), "database"
    else:
        if path is None:
            raise InputError("--source folder needs --path, the folder of tables.")
        tables, known_as = FolderTables(path), f"folder-{path.absolute().name}"
    read = read_mapping(mapping) if mapping else None
    return ForeignSource(known_as, tables, read, observed_until.replace(tzinfo=UTC), horizon_months)


def _source(
    name: SourceName,
    path: Path | None,
    size: SizeName,
    seed: int | None,
    observed_until: datetime | None = None,
    horizon_months: int = 12,
) -> "Source":
    from features import DEFAULT_SEED, FolderSource, SimulatedSource, UciBankMarketingSource, UciCreditCardSource

    if name is SourceName.simulated:
        if path is not None:
            raise InputError("--path is for the UCI sources and folder; the simulated group needs none.")
        return SimulatedSource(size.value, DEFAULT_SEED if seed is None else seed)
    if path is None:
        what = "the folder of tables" if name is SourceName.folder else "the CSV file"
        raise InputError(f"--source {name.value} needs --path, {what}.")
    if name is SourceName.uci_credit_card:
        return UciCreditCardSource(path)
    if name is SourceName.uci_bank_marketing:
        return UciBankMarketingSource(path)
    if observed_until is None:
        raise InputError("--source folder needs --observed-until, the day up to which all defaults are in the tables.")
    return FolderSource(path, observed_until.replace(tzinfo=UTC), horizon_months)

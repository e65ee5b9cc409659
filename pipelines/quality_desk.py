"""``jinkong sources``: what data sources are worth."""

from pathlib import Path
from typing import Annotated

import typer

from group.settings import load_settings
from pipelines.terminal import console, reporter, starting, working

sources_app = typer.Typer(
    no_args_is_help=True,
    help="Judge data sources before money is spent on them.\n\n"
    "[bold]judge[/bold] measures each source on the customers of the last training: completeness, validity, freshness, "
    "coverage, stability, discrimination, what is known already, what it adds to the model; and which sources are best "
    "under a budget.",
)


@sources_app.callback()
def sources() -> None:
    """A group of commands, of which there may be more."""


@sources_app.command("judge")
def judge_sources(
    offers: Annotated[
        Path | None,
        typer.Argument(help="YAML with the sources and their costs; an example's if left out", show_default=False),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, help="a year's money for all sources (CNY)", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="the report; HOME/reports/source_quality.html if left out")
    ] = None,
) -> None:
    """Measure the sources, choose under the budget, and write an HTML report."""
    with starting():
        from features.sources.quality.offers import read_offers
        from pipelines.source_judging import EXAMPLE_BUDGET, EXAMPLE_OFFERS, source_report

    settings = load_settings()
    chosen = read_offers(offers) if offers else EXAMPLE_OFFERS
    with working(settings):
        limit = EXAMPLE_BUDGET if budget is None else budget
        written = source_report(settings, chosen, limit, reporter(), output)
    console().print(f"{written}", soft_wrap=True, highlight=False)

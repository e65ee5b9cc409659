"""Evidently's workspace: a project a model, a run a period, with our figures in its reports.

What Evidently draws are samples; the drift that it shows and tests is ours, counted on all rows: it is given a
statistical test that looks the figure up.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import polars as pl
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.metrics import ValueDrift
from evidently.sdk.models import PanelMetric
from evidently.sdk.panels import line_plot_panel
from evidently.ui.workspace import Project, Workspace

from group.files import write_text_whole
from reporting.monitoring.counts import EVERYTHING, CountedRows
from reporting.monitoring.drift import DataDrift
from reporting.monitoring.periods import Period
from reporting.monitoring.scored import WatchedModel
from training.reference import FEATURE, PROBABILITY

_COLUMNS_SHOWN: Final = 40
_ROWS_DRAWN: Final = 5_000
_RUNS_FILE: Final = "runs.json"

EXACT: Final = "jinkong_psi"
"""The statistical test that looks a figure of ours up."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The workspace that runs are added to."""

    folder: Path

    def add(
        self,
        model: WatchedModel,
        period: Period,
        drift: DataDrift,
        reference: CountedRows,
        current: CountedRows,
        threshold: float,
    ) -> None:
        """Add a period's run in place of the one that it had."""
        columns = shown_columns(drift)
        report = _report(drift, columns, threshold)
        sides = [_dataset(rows.sample(columns, _ROWS_DRAWN), columns) for rows in (current, reference)]
        run = report.run(
            sides[0],
            sides[1],
            timestamp=period.instants[1].replace(tzinfo=None),
            metadata={"version": model.version, "period": period.kind},
            tags=[f"v{model.version}", period.kind],
            name=f"{model} {period.name}",
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        workspace = Workspace.create(str(self.folder))
        project = _project(workspace, model.name)
        runs = self._runs()
        key = f"{model.name}/{model.version}/{period.kind}/{period.name}"
        if key in runs:
            workspace.delete_run(project.id, runs[key])
        added = str(workspace.add_run(project.id, run, include_data=False).id)
        write_text_whole(self.folder / _RUNS_FILE, json.dumps(runs | {key: added}, indent=1, sort_keys=True))

    def _runs(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self.folder / _RUNS_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found


def shown_columns(drift: DataDrift) -> list[str]:
    """The answers, and the features that moved most: as many as a page can hold."""
    whole = [one for one in drift.columns if one.segment == EVERYTHING]
    moved = sorted(whole, key=lambda one: (one.column != PROBABILITY, -one.stability_index, one.column))
    return [one.column for one in moved[:_COLUMNS_SHOWN]]


_FIGURES: dict[str, float] = {}
"""By column, while a report is made: Evidently gives its tests two series and nothing else."""


def _looked_up(
    _reference: "pd.Series[Any]", current: "pd.Series[Any]", _kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    figure = _FIGURES[str(current.name)]
    return figure, figure >= threshold


register_stattest(
    StatTest(EXACT, "PSI of all rows (Jinkong)", [ColumnType.Numerical, ColumnType.Categorical], 0.1), _looked_up
)


def _report(drift: DataDrift, columns: Sequence[str], threshold: float) -> Report:
    _FIGURES.clear()
    _FIGURES.update({_shown(one.column): one.stability_index for one in drift.columns if one.segment == EVERYTHING})
    shown = [ValueDrift(column=_shown(name), method=EXACT, threshold=threshold) for name in columns]
    return Report(shown, include_tests=True)


def _shown(column: str) -> str:
    """A column's own name; that of the answers stays apart from a feature that is called so."""
    own = column.removeprefix(FEATURE)
    return own if own != PROBABILITY or column == PROBABILITY else column


def _dataset(sampled: pl.DataFrame, columns: Sequence[str]) -> Dataset:
    rows = sampled.select(pl.col(name).alias(_shown(name)) for name in columns)
    texts = [name for name in rows.columns if rows[name].dtype == pl.String]
    numbers = [name for name in rows.columns if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    return Dataset.from_pandas(rows.to_pandas(), definition)


def _project(workspace: Workspace, name: str) -> Project:
    found = [project for project in workspace.search_project(name) if project.name == name]
    if found:
        return found[0]
    project = workspace.create_project(name)
    project.description = "Jinkong 金控: drift against training, counted on all rows"
    metric = PanelMetric(legend="PSI", metric="evidently:metric_v2:ValueDrift", metric_labels={"column": PROBABILITY})
    project.dashboard.add_panel(
        line_plot_panel(title="评分 PSI · PSI of the scores", values=[metric], size="full"), tab="Drift"
    )
    project.save()
    return project

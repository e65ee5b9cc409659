"""A model's page: what was seen of it in its last month, how it came to that, and what is open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy import Connection

from group.page import write_page
from reporting.monitoring.alarms import ALARM_NAMES, SUGGESTIONS
from reporting.monitoring.cases import Case, all_cases
from reporting.monitoring.counts import EVERYTHING
from reporting.monitoring.decisions.selection import ATTRIBUTES
from reporting.monitoring.figures import Figure
from reporting.monitoring.kept import (
    KeptAlarm,
    KeptColumn,
    MonitoredPeriod,
    kept_alarms,
    kept_columns,
    kept_figures,
    kept_history,
    kept_periods,
)
from reporting.monitoring.periods import PeriodKind
from reporting.monitoring.pictures import banded_lines, heat, paired_bars, vintage_lines
from reporting.monitoring.scored import WatchedModel
from reporting.monitoring.thresholds import Thresholds
from training.reference import PROBABILITY

_COLUMNS_SHOWN: Final = 25
_SEGMENT_COLUMNS: Final = 12
_ALL: Final = str(EVERYTHING)
_HISTORY: Final = (
    "expected_auc",
    "realised_auc",
    "early_ratio",
    "realised_default_rate",
    "expected_default_rate",
    *(f"selection_ratio_{attribute}" for attribute in ATTRIBUTES),
)


@dataclass(frozen=True)
class ModelReport:
    """All that a page shows, as it is kept."""

    model: WatchedModel
    period: MonitoredPeriod
    periods: tuple[MonitoredPeriod, ...]
    columns: tuple[KeptColumn, ...]
    scores: Mapping[date, float]
    figures: tuple[tuple[date, Figure], ...]
    alarms: tuple[KeptAlarm, ...]
    cases: Mapping[str, Case]


def model_report(connection: Connection, model: WatchedModel, kind: PeriodKind = "month") -> ModelReport | None:
    """Read a version's last period of a kind, and what came before it; None where none was watched."""
    periods = kept_periods(connection, model, kind)
    if not periods:
        return None
    last = max((one for one in periods if one.rows), default=periods[-1], key=lambda one: one.period.begins)
    return ModelReport(
        model=model,
        period=last,
        periods=tuple(periods),
        columns=tuple(kept_columns(connection, model, last.period)),
        scores=kept_history(connection, model, kind, PROBABILITY),
        figures=tuple(kept_figures(connection, model, _HISTORY)),
        alarms=tuple(kept for kept in kept_alarms(connection, model) if kept.alarm.is_open),
        cases={case.case_id: case for case in all_cases(connection)},
    )


def write_model_report(path: Path, report: ModelReport, thresholds: Thresholds, made_at: datetime) -> None:
    """Write the page."""
    performance = report.period.details.get("performance", {})
    everywhere = [column for column in report.columns if column.segment == _ALL]
    content: dict[str, Any] = {
        "report": report,
        "period": report.period,
        "columns": everywhere[:_COLUMNS_SHOWN],
        "column_count": len(everywhere),
        "score": next((column for column in everywhere if column.subject == PROBABILITY), None),
        "estimated": performance.get("estimated"),
        "early": performance.get("early"),
        "realised": performance.get("realised"),
        "at_training": report.period.details.get("at_training"),
        "decisions": report.period.details.get("decisions"),
        "multivariate": report.period.details.get("multivariate"),
        "rolls": _rolls(report.period.details.get("rolls", [])),
        "notes": _notes(report.periods),
        "alarm_names": ALARM_NAMES,
        "suggestions": SUGGESTIONS,
        "thresholds": thresholds,
        "pictures": {name: Markup(svg) for name, svg in _pictures(report, thresholds).items()},  # noqa: S704 - ours
    }
    write_page(path, "reporting", "monitoring", made_at, content)


def _pictures(report: ModelReport, thresholds: Thresholds) -> dict[str, str]:
    found = {
        "scores": banded_lines(
            "PSI of the scores against training", "PSI", {"PSI": _line(report.scores)},
            marks={"watch": thresholds.drift.watch, "act": thresholds.drift.act},
        )
    }  # fmt: skip
    auc = {
        "expected": _interval_line(report.figures, "expected_auc"),
        "realised": _interval_line(report.figures, "realised_auc"),
    }
    if any(auc.values()):
        at_training = report.period.details.get("at_training", {}).get("auc")
        marks = {"test of training": at_training} if at_training else {}
        found["auc"] = banded_lines("AUC, by the month that was scored", "AUC", auc, marks=marks)
    early = {"observed over expected": _interval_line(report.figures, "early_ratio")}
    if any(early.values()):
        found["early"] = banded_lines(
            "Early signs over those of the same grades at training", "ratio", early, marks={"as at training": 1.0}
        )
    points = report.period.details.get("vintages", [])
    if points:
        found["vintages"] = vintage_lines(points)
    decisions = report.period.details.get("decisions")
    if decisions:
        found["grades"] = paired_bars(
            "Share of each grade", [grade["grade"] for grade in decisions["grades"]],
            {name: [grade[key] for grade in decisions["grades"]]
             for name, key in (("at training", "reference_share"), ("now", "share"))},
        )  # fmt: skip
    ratios = {attribute: _interval_line(report.figures, f"selection_ratio_{attribute}") for attribute in ATTRIBUTES}
    if any(ratios.values()):
        found["fairness"] = banded_lines(
            "Lowest over highest selection rate", "ratio", ratios, marks={"four fifths": thresholds.fairness.ratio}
        )
    segments = _by_segment(report.columns)
    if segments is not None:
        found["segments"] = heat(*segments, "PSI by segment")
    return found


Line = dict[str, tuple[float, float | None, float | None]]
"""By month: a value, and between what it lies."""


def _line(values: Mapping[date, float]) -> Line:
    return {f"{day:%Y-%m}": (value, None, None) for day, value in values.items()}


def _interval_line(figures: Sequence[tuple[date, Figure]], name: str) -> Line:
    # Under the month that the scores are of, not the one in which it became known.
    return {figure.of: (figure.value, figure.low, figure.high) for _, figure in figures if figure.name == name}


def _by_segment(columns: Sequence[KeptColumn]) -> tuple[list[str], list[str], list[list[float | None]]] | None:
    """The most moved columns, the segments, and the PSI of each in each."""
    segments = sorted({column.segment for column in columns}, key=lambda name: (name != _ALL, name))
    if len(segments) < 2:
        return None
    largest: dict[str, float] = {}
    for column in columns:
        largest[column.subject] = max(largest.get(column.subject, 0.0), column.stability_index)
    shown = sorted(largest, key=lambda name: (name != PROBABILITY, -largest[name], name))[:_SEGMENT_COLUMNS]
    values = {(column.subject, column.segment): column.stability_index for column in columns}
    return shown, segments, [[values.get((subject, segment)) for segment in segments] for subject in shown]


def _rolls(rolls: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By company: from a bucket to a bucket, the share."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for roll in rolls:
        found.setdefault(roll["legal_entity"], {}).setdefault(roll["before"], {})[roll["after"]] = roll["share"]
    return found


def _notes(periods: Sequence[MonitoredPeriod]) -> list[tuple[str, str, str]]:
    """Every line that is no figure, the newest first: period, Chinese, English."""
    return [(one.period.name, note.zh, note.en) for one in reversed(periods) for note in one.notes]

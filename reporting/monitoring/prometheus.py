"""What was last watched, as Prometheus reads it."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection

from reporting.monitoring.cases import unclosed_cases
from reporting.monitoring.kept import kept_alarms, kept_columns, kept_figures, kept_periods
from reporting.monitoring.periods import PERIOD_KINDS
from reporting.monitoring.scored import WatchedModel
from training.reference import PROBABILITY

_FIGURES: Final = (
    "expected_auc", "realised_auc", "expected_default_rate", "realised_default_rate", "early_ratio",
    "expected_approval_rate",
)  # fmt: skip


def metrics_text(connection: Connection, models: Sequence[WatchedModel]) -> str:
    """Gauges of the last period of each kind of each model, of open alarms and of cases."""
    registry = CollectorRegistry()
    labels = ("model", "version", "period")
    rows = Gauge("jinkong_monitor_rows", "Scores of the last period", labels, registry=registry)
    begins = Gauge("jinkong_monitor_period_begin_seconds", "When that period began", labels, registry=registry)
    psi = Gauge("jinkong_monitor_score_psi", "PSI of its scores against training", labels, registry=registry)
    moved = Gauge("jinkong_monitor_columns_beyond", "What is beyond a threshold in it", labels, registry=registry)
    named = ("model", "version", "name")
    figure = Gauge("jinkong_monitor_figure", "The last figure of a name", named, registry=registry)
    alarms = Gauge("jinkong_monitor_open_alarms", "Alarms", (*labels, "kind", "level"), registry=registry)
    cases = Gauge("jinkong_monitor_cases", "Cases that are not closed", ("model", "kind", "owner"), registry=registry)
    for model in models:
        for kind in PERIOD_KINDS:
            periods = kept_periods(connection, model, kind)
            if not periods:
                continue
            last, own = periods[-1], (model.name, model.version, kind)
            rows.labels(*own).set(last.rows)
            begins.labels(*own).set(last.period.instants[0].timestamp())
            moved.labels(*own).set(len({one.subject for one in last.findings if one.level}))
            for column in kept_columns(connection, model, last.period):
                if (column.subject, column.segment) == (PROBABILITY, "all"):
                    psi.labels(*own).set(column.stability_index)
        # In the order of their months: the last one stays.
        for _, one in kept_figures(connection, model, _FIGURES):
            figure.labels(model.name, model.version, one.name).set(one.value)
    for kept in kept_alarms(connection):
        if kept.alarm.is_open:
            own = (kept.model.name, kept.model.version, kept.period)
            alarms.labels(*own, kept.alarm.kind, kept.alarm.level).inc()
    for case in unclosed_cases(connection):
        cases.labels(case.model.name, case.kind, case.owner).inc()
    return generate_latest(registry).decode()

"""Job: look at every model in service, period by period: figures, findings, alarms, cases."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from features import open_store, point_in_time_frame, read_manifest
from group.database import migrated, reading
from group.files import write_text_whole
from group.libraries import hush_the_end, hushed
from group.settings import Settings
from pipelines.jobs.scored_rows import Collected, collect_scores
from pipelines.progress import Reporter, as_steps
from pipelines.workspace import Workspace
from reporting.monitoring.alarms import alarms_of
from reporting.monitoring.cases import Case, open_cases
from reporting.monitoring.kept import (
    KeptAlarm,
    MonitoredPeriod,
    judged_periods,
    keep_alarms,
    keep_period,
    kept_periods,
    watched_until,
)
from reporting.monitoring.messages import Sent, channels, send_messages, write_messages
from reporting.monitoring.periods import PERIOD_KINDS, Period, PeriodKind, periods_ended
from reporting.monitoring.prometheus import metrics_text
from reporting.monitoring.report import model_report, write_model_report
from reporting.monitoring.scored import ScoredFiles, WatchedModel
from reporting.monitoring.skew import Recompute
from reporting.monitoring.thresholds import Thresholds, read_thresholds
from reporting.monitoring.watching import ModelWatch, OutcomeData, PeriodPages, counting
from training import (
    CHALLENGER,
    CHAMPION,
    ModelTampered,
    NoReference,
    Reference,
    RegistryUnavailable,
    git_commit,
    model_version,
    reference_of,
    scores_parties,
    versions,
)


@dataclass
class Monitored:
    """What a run saw.

    Attributes:
        collected: what it read from the audit log first.
        periods: in the order in which they were looked at.
        alarms: of the models looked at, that are open after it.
        cases: that it opened.
        reports: pages that it wrote.
        sent: messages about cases, of this run and of earlier ones that failed.
    """

    collected: Collected
    periods: list[MonitoredPeriod] = field(default_factory=list)
    alarms: list[KeptAlarm] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    sent: Sent = field(default=Sent(0, ()))


def monitor(
    settings: Settings,
    first: date | None,
    last: date | None,
    reporter: Reporter,
    *,
    kinds: Collection[PeriodKind] = PERIOD_KINDS,
    pages: bool = True,
) -> Monitored:
    """Look at the periods that end from ``first`` to ``last`` of each model that has scored rows.

    A period that was looked at before is looked at again, and what is kept of it replaced.

    Args:
        settings: where everything is.
        first: a day; the one after those that were looked at before if None, or that of the first score.
        last: a day; yesterday if None.
        reporter: is told how far it is.
        kinds: of periods.
        pages: whether weeks and months are added to Evidently's workspace.

    Raises:
        DatabaseUnavailable: the log cannot be read, or figures cannot be kept.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    thresholds = read_thresholds()
    found = Monitored(collect_scores(settings, reporter))
    files = ScoredFiles(workspace.scored)
    models = files.models()
    days = files.days(models)
    if days is None:
        return found
    serving = _in_service_now(settings)
    with migrated(settings.state_url) as engine:
        with reading(engine) as connection:
            begins = first or watched_until(connection) or days[0]
        periods = periods_ended(begins, last or datetime.now(UTC).date() - timedelta(days=1), kinds)
        for model in models:
            service = _service(files.days([model]), in_service=model in serving)
            own = [one for one in periods if one.begins <= service.last and one.ends > service.first]
            if own or service.retired:
                _watch(settings, engine, _Watch(model, service, own, thresholds, pages), reporter, found)
        with reading(engine) as connection:
            write_text_whole(workspace.monitoring_metrics, metrics_text(connection, models))
        with reporter.bar("sending what is to be told", None):
            found.sent = send_messages(engine, settings, datetime.now(UTC))
    return found


@dataclass(frozen=True)
class _Service:
    """The days on which a version answered; after ``retired`` it does so no more."""

    first: date
    last: date
    retired: date | None


@dataclass(frozen=True)
class _Watch:
    model: WatchedModel
    service: _Service
    periods: list[Period]
    thresholds: Thresholds
    pages: bool


def _watch(settings: Settings, engine: Engine, watched: _Watch, reporter: Reporter, found: Monitored) -> None:
    model = watched.model
    with reporter.bar(f"watching {model}", float(len(watched.periods))) as advance, counting(settings) as connection:
        watch = ModelWatch(
            model, ScoredFiles(Workspace.of(settings).scored), _reference(settings, model), watched.thresholds,
            connection, threads=settings.threads, code=git_commit(), outcomes=_outcomes(settings, model),
            pages=_pages(settings) if watched.pages else None, recompute=_recompute(settings, model),
        )  # fmt: skip
        for period in watched.periods:
            seen = watch.period(period, datetime.now(UTC), as_steps(advance))
            with engine.begin() as keeping:
                keep_period(keeping, seen.period, seen.drift, watched.thresholds, seen.figures)
            found.periods.append(seen.period)
    for kind in PERIOD_KINDS:
        with engine.begin() as keeping:
            periods = judged_periods(kept_periods(keeping, model, kind))
            alarms = alarms_of(periods, watched.thresholds.drift.clear_periods, watched.service.retired)
            kept = keep_alarms(keeping, model, kind, alarms)
            at = datetime.now(UTC)
            opened = open_cases(keeping, kept, watched.thresholds.owners, at)
            for case, alarm in opened:
                write_messages(keeping, case, alarm, channels(settings), at)
            found.cases += [case for case, _ in opened]
        found.alarms += [one for one in kept if one.alarm.is_open]
    _write_report(settings, engine, watched, found)


def _write_report(settings: Settings, engine: Engine, watched: _Watch, found: Monitored) -> None:
    with reading(engine) as connection:
        report = model_report(connection, watched.model)
    if report is not None:
        path = Workspace.of(settings).reports / "monitoring" / f"{watched.model.name}-v{watched.model.version}.html"
        write_model_report(path, report, watched.thresholds, datetime.now(UTC))
        found.reports.append(path)


def _in_service_now(settings: Settings) -> set[WatchedModel]:
    """Versions that answer now, and those that are tried beside them."""
    return {
        WatchedModel(row.name, row.version) for row in versions(settings) if {CHAMPION, CHALLENGER} & set(row.aliases)
    }


def _service(days: tuple[date, date] | None, *, in_service: bool) -> _Service:
    first, last = days or (date.max, date.min)
    if in_service:
        # A period without scores is one to be told of, as long as there should have been some.
        return _Service(first, date.max, None)
    return _Service(first, last, last + timedelta(days=1) if days else None)


def _recompute(settings: Settings, model: WatchedModel) -> Recompute | None:
    """What the feature store gives, for models of its features."""
    if not scores_parties(model.name) or not Workspace.of(settings).features.is_dir():
        return None
    store = open_store(settings)
    return lambda asked: point_in_time_frame(store, asked)


def _pages(settings: Settings) -> PeriodPages:
    hush_the_end()
    with hushed():
        from reporting.monitoring.evidently_pages import Pages  # imports Evidently, which takes seconds and warns

    return Pages(Workspace.of(settings).evidently)


def _outcomes(settings: Settings, model: WatchedModel) -> OutcomeData | None:
    """Outcomes of parties, for models of their default."""
    workspace = Workspace.of(settings)
    tables = ("statements", "defaults", "parties")
    if not scores_parties(model.name) or not all(any((workspace.canonical / one).glob("*.parquet")) for one in tables):
        return None
    manifest = read_manifest(workspace.data)
    return OutcomeData(workspace.canonical, manifest.horizon_months, manifest.observed_until)


def _reference(settings: Settings, model: WatchedModel) -> Reference | None:
    try:
        registered = model_version(model.version, settings, model.name)
        folder = Workspace.of(settings).monitoring / "references" / f"{model.name}-v{model.version}"
        return reference_of(registered, settings, folder)
    except (NoReference, ModelTampered, RegistryUnavailable):
        # An unseen version: its scores are told all the same, and that they are held against nothing.
        return None

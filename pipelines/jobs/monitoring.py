"""Job: look at every model in service, period by period: figures, findings, alarms, cases."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sqlalchemy import Engine

from group.database import migrated, reading
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
)
from reporting.monitoring.periods import PERIOD_KINDS, Period, PeriodKind, periods_ended
from reporting.monitoring.scored import ScoredFiles, WatchedModel
from reporting.monitoring.thresholds import Thresholds, read_thresholds
from reporting.monitoring.watching import ModelWatch, counting
from training import (
    ModelTampered,
    NoReference,
    Reference,
    RegistryUnavailable,
    git_commit,
    model_version,
    reference_of,
)


@dataclass
class Monitored:
    """What a run saw.

    Attributes:
        collected: what it read from the audit log first.
        periods: in the order in which they were looked at.
        alarms: of the models looked at, that are open after it.
        cases: that it opened.
    """

    collected: Collected
    periods: list[MonitoredPeriod] = field(default_factory=list)
    alarms: list[KeptAlarm] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)


def monitor(
    settings: Settings,
    first: date | None,
    last: date | None,
    reporter: Reporter,
    *,
    kinds: Collection[PeriodKind] = PERIOD_KINDS,
) -> Monitored:
    """Look at the periods that end from ``first`` to ``last`` of each model that has scored rows.

    A period that was looked at before is looked at again, and what is kept of it replaced.

    Args:
        settings: where everything is.
        first: a day; that of the first score if None.
        last: a day; that of the last score if None.
        reporter: is told how far it is.
        kinds: of periods.

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
    periods = periods_ended(first or days[0], last or days[1], kinds)
    with migrated(settings.state_url) as engine:
        for model in models:
            # Before its first and after its last score, a version was not in service.
            own = [one for one in periods if _in_service(files.days([model]), one)]
            if own:
                _watch(settings, engine, model, own, thresholds, reporter, found)
    return found


def _watch(
    settings: Settings,
    engine: Engine,
    model: WatchedModel,
    periods: Sequence[Period],
    thresholds: Thresholds,
    reporter: Reporter,
    found: Monitored,
) -> None:
    workspace = Workspace.of(settings)
    reference = _reference(settings, model)
    with reporter.bar(f"watching {model}", float(len(periods))) as advance, counting(settings) as connection:
        watch = ModelWatch(
            model, ScoredFiles(workspace.scored), reference, thresholds, connection,
            threads=settings.threads, code=git_commit(),
        )  # fmt: skip
        for period in periods:
            seen = watch.period(period, datetime.now(UTC), as_steps(advance))
            with engine.begin() as keeping:
                keep_period(keeping, seen.period, seen.drift)
            found.periods.append(seen.period)
    for kind in dict.fromkeys(period.kind for period in periods):
        with reading(engine) as connection_:
            judged = judged_periods(kept_periods(connection_, model, kind))
        alarms = alarms_of(judged, thresholds.drift.clear_periods)
        with engine.begin() as keeping:
            kept = keep_alarms(keeping, model, kind, alarms)
            found.cases += open_cases(keeping, kept, thresholds.owners, datetime.now(UTC))
        found.alarms += [one for one in kept if one.alarm.is_open]


def _in_service(days: tuple[date, date] | None, period: Period) -> bool:
    return days is not None and period.begins <= days[1] and period.ends > days[0]


def _reference(settings: Settings, model: WatchedModel) -> Reference | None:
    try:
        registered = model_version(model.version, settings, model.name)
        folder = Workspace.of(settings).monitoring / "references" / f"{model.name}-v{model.version}"
        return reference_of(registered, settings, folder)
    except (NoReference, ModelTampered, RegistryUnavailable):
        # An unseen version: its scores are told all the same, and that they are held against nothing.
        return None

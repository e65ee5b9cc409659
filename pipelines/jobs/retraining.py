"""Job: train again because an alarm asks for it, or because it is time. What comes of it is a candidate like any other.

Nothing is promoted here: the candidate is validated, registered with its report, and waits for somebody to approve it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from group.database import migrated
from group.errors import InputError
from group.settings import Settings
from pipelines.jobs.marketing import train_marketing
from pipelines.jobs.training import CandidateRejected, train_credit
from pipelines.progress import Reporter
from pipelines.steps import StepRecord
from reporting.monitoring.cases import Case, find_case, note_retraining, unclosed_cases
from reporting.monitoring.errors import MonitoringError
from reporting.monitoring.kept import kept_alarms
from reporting.monitoring.thresholds import Thresholds
from training import MODEL_NAME, NoChampion, champion, latest_candidate
from training.registry import report_of

RETRAINED_BY: Final = "monitoring"
"""Who trained, on record: whoever approves is somebody else."""

_MARKETING: Final = ("response", "uplift", "customer_value")
Outcome = Literal["candidate", "rejected", "nothing_new"]


class CannotRetrain(MonitoringError, InputError):
    """A model whose training data this home does not keep."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """What came of training again.

    Attributes:
        model: its name.
        version: that the registry has now as its candidate; None if it has none.
        outcome: a ``candidate`` that may be approved; one that was ``rejected`` by a hard limit; or ``nothing_new``,
            since data, parameters and code are what they were.
        why: the case's id, or ``schedule``.
        told: what a rejected one lacks.
    """

    model: str
    version: str | None
    outcome: Outcome
    why: str
    told: str = ""


def retrain_due(settings: Settings, thresholds: Thresholds, reporter: Reporter) -> list[Retrained]:
    """Train again what open alarms say is to be trained again, once a case, and champions that are too old.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    done: dict[str, Retrained] = {}
    if thresholds.retraining.on_alarm:
        for case in _cases_that_ask(settings):
            if case.model.name not in done and _can_retrain(case.model.name):
                done[case.model.name] = retrain_for(settings, case.case_id, reporter)
    for name in (MODEL_NAME,):
        if name not in done and _is_old(settings, name, thresholds.retraining.every_days):
            done[name] = _retrained(settings, name, "schedule", reporter)
    return list(done.values())


def retrain_for(settings: Settings, case_id: str, reporter: Reporter) -> Retrained:
    """Train the model of a case again, and note it there.

    Raises:
        NoCase: there is none.
        CannotRetrain: the model is of a file, which this home does not keep.
        RegistryUnavailable: MLflow does not answer.
    """
    with migrated(settings.state_url) as engine, engine.connect() as connection:
        case = find_case(connection, case_id)
    if not _can_retrain(case.model.name):
        raise CannotRetrain(
            f"'{case.model.name}' was trained on a file or a segment: train it by hand (`jinkong train --help`)."
        )
    found = _retrained(settings, case.model.name, case.case_id, reporter)
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        note_retraining(connection, case.case_id, found.version, found.outcome, datetime.now(UTC))
    return found


def _cases_that_ask(settings: Settings) -> list[Case]:
    """Open cases of alarms that suggest training again, and that have not led to it."""
    with migrated(settings.state_url) as engine, engine.connect() as connection:
        asking = {
            kept.case_id
            for kept in kept_alarms(connection)
            if kept.alarm.is_open and kept.alarm.suggestion == "retrain"
        }
        return [case for case in unclosed_cases(connection) if case.case_id in asking and not case.retrained]


def _retrained(settings: Settings, name: str, why: str, reporter: Reporter) -> Retrained:
    rejected = ""
    record: StepRecord | None = None
    try:
        record = _train(settings, name, reporter)
    except CandidateRejected as error:
        rejected = str(error)
    candidate = latest_candidate(settings, name)
    outcome: Outcome = "rejected" if rejected else "nothing_new" if record and record.reused else "candidate"
    return Retrained(name, candidate.version if candidate else None, outcome, why, rejected)


def _train(settings: Settings, name: str, reporter: Reporter) -> StepRecord:
    if name == MODEL_NAME:
        return train_credit(settings, reporter, trained_by=RETRAINED_BY)
    return train_marketing(settings, reporter, trained_by=RETRAINED_BY)


def _can_retrain(name: str) -> bool:
    return name == MODEL_NAME or name in _MARKETING


def _is_old(settings: Settings, name: str, days: int) -> bool:
    try:
        registered = champion(settings, name)
    except NoChampion:
        return False
    card: dict[str, Any] = report_of(registered, settings)["card"]
    return datetime.fromisoformat(card["trained_at"]) < datetime.now(UTC) - timedelta(days=days)

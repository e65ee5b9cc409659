"""Cases: what somebody does about an alarm. Each has an owner from the start, and each step is in the audit log."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Column, Connection, Index, Select, String, Table, insert, select, update

from group.audit import GROUP, AuditEvent, append
from group.database import UtcDateTime, metadata
from group.errors import InputError
from reporting.monitoring.errors import MonitoringError
from reporting.monitoring.kept import KeptAlarm, name_case
from reporting.monitoring.scored import WatchedModel
from reporting.monitoring.thresholds import FindingKind

CaseState = Literal["open", "in_work", "closed"]
CASE_OPENED: Final = "monitoring.case_opened"
CASE_TAKEN: Final = "monitoring.case_taken"
CASE_CLOSED: Final = "monitoring.case_closed"
CASE_RETRAINED: Final = "monitoring.case_retrained"
_MONITORING: Final = "monitoring"
"""Who opens cases, on record."""

monitor_cases: Final = Table(
    "monitor_cases",
    metadata,
    Column("case_id", String(36), primary_key=True),
    Column("model", String(80), nullable=False),
    Column("version", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(80), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("retrained_version", String(32)),
    Index("ix_monitor_cases_model", "model", "state"),
)


class NoCase(MonitoringError, InputError):
    """There is no such case."""


class CaseRefused(MonitoringError, InputError):
    """A step that a case does not take: it is closed, or nobody says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """What somebody is to do about an alarm, or several of one kind."""

    case_id: str
    model: WatchedModel
    kind: FindingKind
    state: CaseState
    owner: str
    opened_at: datetime
    closed_at: datetime | None
    retrained_version: str | None = None

    @property
    def retrained(self) -> bool:
        """Whether it led to a training, whatever came of it."""
        return self.retrained_version is not None


def open_cases(
    connection: Connection, alarms: list[KeptAlarm], owners: Mapping[FindingKind, str], at: datetime
) -> list[tuple[Case, KeptAlarm]]:
    """See that each open alarm has a case: the one it had, the one that is open of its kind, or a new one.

    Returns the new ones, each with the alarm that opened it.
    """
    opened = []
    for kept in alarms:
        if not kept.alarm.is_open or kept.case_id is not None:
            continue
        case = _unclosed(connection, kept.model, kept.alarm.kind)
        if case is None:
            case = _new(connection, kept, owners[kept.alarm.kind], at)
            opened.append((case, kept))
        name_case(connection, kept, case.case_id)
    return opened


def take(connection: Connection, case_id: str, *, by: str, at: datetime) -> Case:
    """Make somebody the owner of a case, who works on it from now on.

    Raises:
        NoCase: there is none.
        CaseRefused: it is closed, or nobody takes it.
    """
    return _step(connection, case_id, CASE_TAKEN, by, "", at, state="in_work", owner=by.strip())


def close(connection: Connection, case_id: str, *, by: str, reason: str, at: datetime) -> Case:
    """Close a case, for a reason. An alarm of it that is still open stays so, and opens no other.

    Raises:
        NoCase: there is none.
        CaseRefused: it is closed already, or no name or reason is given.
    """
    if not reason.strip():
        raise CaseRefused("A case is closed for a reason: say what was done, or why nothing is.")
    return _step(connection, case_id, CASE_CLOSED, by, reason.strip(), at, state="closed", closed_at=at)


def note_retraining(connection: Connection, case_id: str, version: str | None, outcome: str, at: datetime) -> Case:
    """Note that a case led to a training, and to which version.

    Raises:
        NoCase: there is none.
        CaseRefused: it is closed.
    """
    return _step(
        connection, case_id, CASE_RETRAINED, _MONITORING, f"{outcome}: version {version or 'none'}", at,
        state="in_work", retrained_version=version or "",
    )  # fmt: skip


def find_case(connection: Connection, case_id: str) -> Case:
    """A case, by its id or by a beginning of it that no other has.

    Raises:
        NoCase: there is none, or several begin so.
    """
    found = connection.execute(_EVERY.where(monitor_cases.c.case_id.startswith(case_id, autoescape=True))).all()
    if len(found) != 1 or not case_id:
        many = f"{len(found)} cases begin with '{case_id}'" if len(found) > 1 else f"There is no case '{case_id}'"
        raise NoCase(f"{many}; `jinkong monitor cases` lists them.")
    return _case(found[0])


def unclosed_cases(connection: Connection) -> list[Case]:
    """Cases that somebody has to work on, the newest first."""
    return [case for case in all_cases(connection) if case.state != "closed"]


def all_cases(connection: Connection) -> list[Case]:
    """All cases, the newest first."""
    rows = connection.execute(_EVERY.order_by(monitor_cases.c.opened_at.desc(), monitor_cases.c.case_id))
    return [_case(row) for row in rows]


_EVERY: Final[Select[Any]] = select(monitor_cases)


def _unclosed(connection: Connection, model: WatchedModel, kind: FindingKind) -> Case | None:
    columns = monitor_cases.c
    row = connection.execute(
        _EVERY.where(columns.model == model.name, columns.version == model.version, columns.kind == kind)
        .where(columns.state != "closed")
        .order_by(columns.opened_at)
        .limit(1)
    ).first()
    return None if row is None else _case(row)


def _new(connection: Connection, kept: KeptAlarm, owner: str, at: datetime) -> Case:
    case = Case(str(uuid.uuid4()), kept.model, kept.alarm.kind, "open", owner, at, None)
    connection.execute(
        insert(monitor_cases),
        {
            "case_id": case.case_id, "model": case.model.name, "version": case.model.version, "kind": case.kind,
            "state": case.state, "owner": case.owner, "opened_at": at,
        },
    )  # fmt: skip
    payload = {
        "model": case.model.name,
        "version": case.model.version,
        "kind": case.kind,
        "period": kept.period,
        "begins": kept.alarm.begins.isoformat(),
        "level": kept.alarm.level,
        "suggestion": kept.alarm.suggestion,
        "owner": owner,
        "explained_by": [f"{finding.subject} ({finding.segment})" for finding in kept.alarm.findings[:5]],
    }
    append(connection, AuditEvent(GROUP, _MONITORING, CASE_OPENED, case.case_id, payload), at)
    return case


def _step(
    connection: Connection, case_id: str, action: str, by: str, reason: str, at: datetime, **values: object
) -> Case:
    before = find_case(connection, case_id)
    if before.state == "closed":
        raise CaseRefused(f"Case {before.case_id} was closed on {before.closed_at:%Y-%m-%d}; an alarm opens another.")
    if not by.strip():
        raise CaseRefused("A case is in somebody's hands: give a name.")
    connection.execute(update(monitor_cases).where(monitor_cases.c.case_id == before.case_id).values(**values))
    payload = {"owner_before": before.owner, "state_before": before.state, "reason": reason}
    append(connection, AuditEvent(GROUP, by.strip(), action, before.case_id, payload), at)
    return find_case(connection, before.case_id)


def _case(row: Any) -> Case:
    return Case(
        row.case_id, WatchedModel(row.model, row.version), row.kind, row.state, row.owner, row.opened_at,
        row.closed_at, row.retrained_version,
    )  # fmt: skip

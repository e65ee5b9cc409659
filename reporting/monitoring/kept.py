"""What monitoring keeps in the database: periods and their figures, findings, alarms. Tables for SQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)

from group.database import UtcDateTime, metadata
from reporting.monitoring.alarms import Alarm, JudgedPeriod
from reporting.monitoring.drift import DataDrift
from reporting.monitoring.figures import Figure
from reporting.monitoring.findings import Finding
from reporting.monitoring.methods import distance_of
from reporting.monitoring.notes import Note
from reporting.monitoring.periods import Period, PeriodKind
from reporting.monitoring.scored import WatchedModel
from reporting.monitoring.thresholds import Thresholds
from training.reference import FEATURE


def _key() -> tuple[Column[Any], ...]:
    return (
        Column("model", String(80), primary_key=True),
        Column("version", String(32), primary_key=True),
        Column("period", String(8), primary_key=True),
        Column("begins", Date, primary_key=True),
    )


monitor_periods: Final = Table(
    "monitor_periods",
    metadata,
    *_key(),
    Column("ends", Date, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("parties", BigInteger, nullable=False),
    Column("judged", Boolean, nullable=False),
    Column("notes", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("reference_sha256", String(64)),
    Column("data_sha256", String(64), nullable=False),
    Column("thresholds_sha256", String(64), nullable=False),
    Column("code", String(64), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
)

monitor_columns: Final = Table(
    "monitor_columns",
    metadata,
    *_key(),
    Column("segment", String(80), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("parties", BigInteger, nullable=False),
    Column("stability_index", Float, nullable=False),
    Column("excess", Float, nullable=False),
    Column("jensen_shannon", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("wasserstein", Float),
    Column("ks", Float),
    Column("ks_p_value", Float),
    Column("mean", Float),
    Column("method", String(16)),
    Column("distance", Float),
    Column("beyond", Boolean),
    Column("missing_share", Float, nullable=False),
    Column("outside_share", Float, nullable=False),
    Column("unseen_share", Float, nullable=False),
)

monitor_figures: Final = Table(
    "monitor_figures",
    metadata,
    *_key(),
    Column("name", String(80), primary_key=True),
    Column("of", String(16), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
)

monitor_alarms: Final = Table(
    "monitor_alarms",
    metadata,
    *_key(),
    Column("kind", String(32), primary_key=True),
    Column("last", Date, nullable=False),
    Column("ended", Date),
    Column("level", String(8), nullable=False),
    Column("suggestion", String(16), nullable=False),
    Column("findings", Text, nullable=False),
    Column("case_id", String(36)),
)


@dataclass(frozen=True, slots=True)
class MonitoredPeriod:
    """What was seen of one version of a model in one period, and from what.

    Attributes:
        model: which.
        period: when.
        rows: scores.
        parties: whose; rows of no party count each.
        judged: whether there were enough of them, and a reference.
        notes: lines of the report.
        findings: what is beyond thresholds.
        details: curves and tables of the report, as JSON values.
        reference_sha256: of what the rows were held against; None where there was none.
        data_sha256: of the files that the rows lie in.
        thresholds_sha256: of the file of thresholds.
        code: the commit that computed it.
        made_at: when.
    """

    model: WatchedModel
    period: Period
    rows: int
    parties: int
    judged: bool
    notes: tuple[Note, ...]
    findings: tuple[Finding, ...]
    details: Mapping[str, Any]
    reference_sha256: str | None
    data_sha256: str
    thresholds_sha256: str
    code: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """An alarm, the model and kind of period that it is of, and the case that it opened or belongs to."""

    model: WatchedModel
    period: PeriodKind
    alarm: Alarm
    case_id: str | None


def keep_period(
    connection: Connection,
    monitored: MonitoredPeriod,
    drift: DataDrift | None,
    thresholds: Thresholds,
    figures: Sequence[Figure] = (),
) -> None:
    """Keep a period's figures in place of those that it had before."""
    own = _named(monitored.model, monitored.period.kind) | {"begins": monitored.period.begins}
    for table in (monitor_periods, monitor_columns, monitor_figures):
        connection.execute(delete(table).where(*(table.c[name] == value for name, value in own.items())))
    values = {
        "ends": monitored.period.ends,
        "notes": _json([asdict(note) for note in monitored.notes]),
        "findings": _json([asdict(finding) for finding in monitored.findings]),
        "details": _json(monitored.details),
        **{name: getattr(monitored, name) for name in _PLAIN},
    }
    connection.execute(insert(monitor_periods), own | values)
    rows = _column_rows(drift, thresholds) if drift is not None else []
    if rows:
        connection.execute(insert(monitor_columns), [own | row for row in rows])
    if figures:
        connection.execute(insert(monitor_figures), [own | asdict(figure) for figure in figures])


_PLAIN: Final = (
    "rows", "parties", "judged", "reference_sha256", "data_sha256", "thresholds_sha256", "code", "made_at",
)  # fmt: skip


def kept_periods(connection: Connection, model: WatchedModel, kind: PeriodKind) -> list[MonitoredPeriod]:
    """A version's periods of a kind, the oldest first."""
    own = _named(model, kind)
    rows = connection.execute(
        select(monitor_periods)
        .where(*(monitor_periods.c[name] == value for name, value in own.items()))
        .order_by(monitor_periods.c.begins)
    )
    return [
        MonitoredPeriod(
            model=model,
            period=Period(row.begins, row.ends, kind),
            notes=tuple(Note(**note) for note in json.loads(row.notes)),
            findings=_findings(row.findings),
            details=json.loads(row.details),
            **{name: getattr(row, name) for name in _PLAIN},
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """A column's figures of a period and segment, as they are kept; those of shapes are of all rows alone."""

    segment: str
    subject: str
    rows: int
    stability_index: float
    jensen_shannon: float
    wasserstein: float | None
    ks: float | None
    mean: float | None
    method: str | None
    distance: float | None
    beyond: bool | None
    missing_share: float
    outside_share: float
    unseen_share: float


def kept_columns(connection: Connection, model: WatchedModel, period: Period) -> list[KeptColumn]:
    """The figures of a period's columns, the most moved first."""
    names = KeptColumn.__dataclass_fields__
    own = _named(model, period.kind) | {"begins": period.begins}
    rows = connection.execute(
        select(*(monitor_columns.c[name] for name in names))
        .where(*(monitor_columns.c[name] == value for name, value in own.items()))
        .order_by(monitor_columns.c.stability_index.desc(), monitor_columns.c.subject, monitor_columns.c.segment)
    )
    return [KeptColumn(*row) for row in rows]


def kept_history(connection: Connection, model: WatchedModel, kind: PeriodKind, subject: str) -> dict[date, float]:
    """The PSI of a column over the periods of a kind, of all rows, by the first day of each."""
    own = _named(model, kind) | {"subject": subject, "segment": "all"}
    rows = connection.execute(
        select(monitor_columns.c.begins, monitor_columns.c.stability_index)
        .where(*(monitor_columns.c[name] == value for name, value in own.items()))
        .order_by(monitor_columns.c.begins)
    )
    return {row.begins: row.stability_index for row in rows}


def watched_until(connection: Connection) -> date | None:
    """The first day that no kept period reaches; None where nothing was watched yet."""
    found: date | None = connection.execute(select(func.max(monitor_periods.c.ends))).scalar()
    return found


def kept_figures(connection: Connection, model: WatchedModel, names: Collection[str]) -> list[tuple[date, Figure]]:
    """A version's figures of these names over all months, with the first day of the month each is kept with."""
    columns = monitor_figures.c
    rows = connection.execute(
        select(monitor_figures)
        .where(columns.model == model.name, columns.version == model.version, columns.name.in_(sorted(names)))
        .order_by(columns.begins, columns.name, columns.of)
    )
    return [(row.begins, Figure(row.name, row.of, row.rows, row.value, row.low, row.high)) for row in rows]


def judged_periods(periods: Sequence[MonitoredPeriod]) -> list[JudgedPeriod]:
    """What alarms follow from."""
    return [JudgedPeriod(one.period.begins, one.judged, one.findings) for one in periods]


def keep_alarms(
    connection: Connection, model: WatchedModel, kind: PeriodKind, alarms: Sequence[Alarm]
) -> list[KeptAlarm]:
    """Keep a version's alarms of a kind of period in place of those it had; each keeps the case that it had."""
    own = _named(model, kind)
    cases = {(kept.alarm.kind, kept.alarm.begins): kept.case_id for kept in kept_alarms(connection, model, kind)}
    connection.execute(delete(monitor_alarms).where(*(monitor_alarms.c[name] == value for name, value in own.items())))
    kept = [KeptAlarm(model, kind, alarm, cases.get((alarm.kind, alarm.begins))) for alarm in alarms]
    if kept:
        connection.execute(insert(monitor_alarms), [own | _alarm_row(one) for one in kept])
    return kept


def kept_alarms(
    connection: Connection, model: WatchedModel | None = None, kind: PeriodKind | None = None
) -> list[KeptAlarm]:
    """Alarms, of one version and kind of period if these are given, in the order in which they were raised."""
    wanted = {"model": model and model.name, "version": model and model.version, "period": kind}
    chosen = [monitor_alarms.c[name] == value for name, value in wanted.items() if value is not None]
    columns = monitor_alarms.c
    order = (columns.begins, columns.model, columns.version, columns.period, columns.kind)
    return [
        KeptAlarm(
            WatchedModel(row.model, row.version),
            row.period,
            Alarm(row.kind, row.begins, row.last, row.ended, row.level, _findings(row.findings), row.suggestion),
            row.case_id,
        )
        for row in connection.execute(select(monitor_alarms).where(*chosen).order_by(*order))
    ]


def name_case(connection: Connection, kept: KeptAlarm, case_id: str) -> None:
    """Say which case an alarm belongs to."""
    own = _named(kept.model, kept.period) | {"begins": kept.alarm.begins, "kind": kept.alarm.kind}
    connection.execute(
        monitor_alarms.update()
        .where(*(monitor_alarms.c[name] == value for name, value in own.items()))
        .values(case_id=case_id)
    )


def _named(model: WatchedModel, kind: PeriodKind) -> dict[str, str]:
    return {"model": model.name, "version": model.version, "period": kind}


def _column_rows(drift: DataDrift, thresholds: Thresholds) -> list[dict[str, Any]]:
    rows = []
    for one in drift.columns:
        shape = drift.shapes[one.column] if not one.segment.dimension else None
        chosen = distance_of(one, shape, thresholds) if shape else None
        rows.append(
            {
                "segment": str(one.segment),
                "subject": one.column.removeprefix(FEATURE),
                **{name: getattr(one, name) for name in _MEASURES},
                **{name: getattr(shape, name) if shape else None for name in _SHAPES},
                "method": chosen.method if chosen else None,
                "distance": chosen.value if chosen else None,
                "beyond": chosen.beyond if chosen else None,
            }
        )
    return rows


_MEASURES: Final = (
    "rows", "parties", "stability_index", "excess", "jensen_shannon", "p_value", "missing_share", "outside_share",
    "unseen_share",
)  # fmt: skip
_SHAPES: Final = ("wasserstein", "ks", "ks_p_value", "mean")


def _alarm_row(kept: KeptAlarm) -> dict[str, Any]:
    alarm = kept.alarm
    return {
        "begins": alarm.begins,
        "kind": alarm.kind,
        "last": alarm.last,
        "ended": alarm.ended,
        "level": alarm.level,
        "suggestion": alarm.suggestion,
        "findings": _json([asdict(finding) for finding in alarm.findings]),
        "case_id": kept.case_id,
    }


def _findings(text: str) -> tuple[Finding, ...]:
    return tuple(Finding(**content) for content in json.loads(text))


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)

"""What monitoring saw, on the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from pipelines.jobs.monitoring import Monitored
from pipelines.jobs.retraining import Retrained
from reporting.monitoring.alarms import ALARM_NAMES, SUGGESTIONS
from reporting.monitoring.cases import Case
from reporting.monitoring.kept import KeptAlarm, MonitoredPeriod

_FINDINGS_SHOWN: Final = 3
_PERIODS_SHOWN: Final = 40
_ID_SHOWN: Final = 8


def tell_monitoring(console: Console, found: Monitored) -> None:
    """What was collected, a line a period, the alarms that are open, the cases that were opened."""
    for model, rows in sorted(found.collected.rows.items()):
        console.print(f"{rows:,} new scores of {model} read from the audit log", highlight=False)
    for key in sorted(found.collected.strangers):
        console.print(
            f"[yellow]{key.name} v{key.version}[/yellow] answered, but the registry has no such version (SHA-256 "
            f"{key.sha256[:12]}…): its scores are kept without what was seen",
            highlight=False,
        )
    if not found.periods:
        console.print("Nothing was scored in a period that has ended, so there is nothing to look at yet.")
        return
    _tell_periods(console, found.periods)
    console.print()
    tell_alarms(console, found.alarms)
    if found.cases:
        console.print()
        tell_cases(console, found.cases)
    if found.sent.sent:
        console.print(f"{found.sent.sent} messages sent", highlight=False)
    for failed in found.sent.failed:
        console.print(f"[yellow]not sent[/yellow], tried again next time: {failed}", highlight=False, soft_wrap=True)
    for path in found.reports:
        console.print(f"report  {path}", highlight=False, soft_wrap=True)


def tell_alarms(console: Console, alarms: Sequence[KeptAlarm]) -> None:
    """A block an alarm: model, since when, what explains it, what to do."""
    if not alarms:
        console.print("No alarm is open.")
        return
    for kept in alarms:
        alarm = kept.alarm
        zh, en = ALARM_NAMES[alarm.kind]
        colour = "red" if alarm.level == "act" else "yellow"
        until = f"since {alarm.begins}" if alarm.is_open else f"from {alarm.begins} to {alarm.ended}"
        console.print(
            f"[{colour}]{kept.model}: {zh} · {en}[/{colour}], by {kept.period}, {until} "
            f"→ {SUGGESTIONS[alarm.suggestion][1]}",
            highlight=False,
            soft_wrap=True,
        )
        for finding in alarm.findings[:_FINDINGS_SHOWN]:
            console.print(f"    {finding.subject} ({finding.segment}): {finding.en}", highlight=False, soft_wrap=True)
        more = len(alarm.findings) - _FINDINGS_SHOWN
        if more > 0:
            console.print(f"    and {more} more", highlight=False)


def tell_cases(console: Console, cases: Sequence[Case]) -> None:
    """A table of cases."""
    if not cases:
        console.print("There are no cases.")
        return
    table = Table("case", "model", "of", "state", "owner", Column("opened", no_wrap=True), box=SIMPLE_HEAD)
    for case in cases:
        table.add_row(
            case.case_id[:_ID_SHOWN], str(case.model), ALARM_NAMES[case.kind][1], case.state, case.owner,
            f"{case.opened_at:%Y-%m-%d}",
        )  # fmt: skip
    console.print(table)


def tell_retrained(console: Console, done: Sequence[Retrained]) -> None:
    """What came of training again, and what is to be done with it."""
    for one in done:
        why = "it is time" if one.why == "schedule" else f"case {one.why[:_ID_SHOWN]}"
        if one.outcome == "candidate":
            how = f"jinkong models approve {one.model} --by NAME --reason …"
            told = f"version {one.version} waits to be approved: {how}"

        elif one.outcome == "rejected":
            told = one.told
        else:
            told = "data, parameters and code are what they were, so nothing new came of it; load newer data first"
        console.print(f"{one.model} was trained again ({why}): {told}", highlight=False, soft_wrap=True)


def _tell_periods(console: Console, periods: Sequence[MonitoredPeriod]) -> None:
    table = Table(
        "model", Column("period", no_wrap=True), Column("rows", justify="right"), Column("beyond", justify="right"),
        Column("the strongest, or what is in the way", overflow="fold"), box=SIMPLE_HEAD,
    )  # fmt: skip
    for one in periods[-_PERIODS_SHOWN:]:
        beyond = [finding for finding in one.findings if finding.level]
        told = ", ".join(finding.subject for finding in beyond[:_FINDINGS_SHOWN]) or _in_the_way(one)
        table.add_row(str(one.model), one.period.name, f"{one.rows:,}", str(len(beyond)) if one.judged else "–", told)
    console.print(table)
    if len(periods) > _PERIODS_SHOWN:
        console.print(f"The last {_PERIODS_SHOWN} of {len(periods)} periods are shown.", highlight=False)


def _in_the_way(one: MonitoredPeriod) -> str:
    return "" if one.judged else "; ".join(note.en for note in one.notes if note.code != "replayed")

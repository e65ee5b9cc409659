"""Alarms: raised by what is beyond a threshold, kept while it lingers, ended when it has been quiet for long enough.

An alarm follows from the findings of its model's periods in their order and from nothing else, so that a period that is
looked at again, or filled in later, gives the alarms that it would have given then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from reporting.monitoring.findings import Finding, Level
from reporting.monitoring.thresholds import FindingKind

Suggestion = Literal["watch", "recalibrate", "retrain", "roll_back"]

SUGGESTIONS: Final[dict[Suggestion, tuple[str, str]]] = {
    "watch": ("继续观察", "watch it"),
    "recalibrate": ("重新校准", "recalibrate"),
    "retrain": ("重新训练", "retrain"),
    "roll_back": ("回退变更", "roll back what was released last: a feed, a feature, or the model"),
}

ALARM_NAMES: Final[dict[FindingKind, tuple[str, str]]] = {
    "broken_feature": ("特征异常", "a feature is broken"),
    "skew": ("训练与线上不一致", "what was served is not what the feature store says"),
    "sudden_shift": ("突变", "something has moved at once"),
    "feature_drift": ("特征漂移", "features have moved"),
    "multivariate_drift": ("多变量漂移", "features together have moved"),
    "prediction_drift": ("评分漂移", "scores have moved"),
    "concept_drift": ("风险关系变化", "the risk of a grade has moved"),
    "calibration": ("校准偏差", "defaults are not as predicted"),
    "discrimination": ("区分能力下降", "the model sorts worse"),
    "fairness": ("公平性", "protected groups are selected too differently"),
}


@dataclass(frozen=True, slots=True)
class JudgedPeriod:
    """A period's findings; where there were too few rows to judge, it says nothing for or against an alarm."""

    begins: date
    judged: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was beyond a threshold, from when on, and whether it still is.

    Attributes:
        kind: of what.
        begins: of the period that raised it.
        last: of the period in which it was last beyond a threshold.
        ended: of the period in which it was over; None while it is open.
        level: the highest so far.
        findings: of ``last``, the strongest first.
        suggestion: what to do.
    """

    kind: FindingKind
    begins: date
    last: date
    ended: date | None
    level: Level
    findings: tuple[Finding, ...]
    suggestion: Suggestion

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.ended is None


def alarms_of(periods: Iterable[JudgedPeriod], clear_periods: int, retired: date | None = None) -> list[Alarm]:
    """The alarms of one version of a model in periods of one kind, in the order in which they were raised.

    Args:
        periods: in any order.
        clear_periods: so many judged ones in a row without what raised it end an alarm.
        retired: the day on which another version took the place of this one; None while it is in service.
    """
    found: list[Alarm] = []
    running: dict[FindingKind, tuple[Alarm, int]] = {}
    for period in sorted(periods, key=lambda one: one.begins):
        if not period.judged:
            continue
        for kind in ALARM_NAMES:
            own = tuple(finding for finding in period.findings if finding.kind == kind)
            before = running.pop(kind, None)
            after = _next(before, kind, period, own, clear_periods)
            if after is not None and after[0].is_open:
                running[kind] = after
            elif after is not None:
                found.append(after[0])
    # Of a version that answers no more, nothing can be watched, and nothing is left to do.
    found += [alarm if retired is None else replace(alarm, ended=retired) for alarm, _ in running.values()]
    return sorted(found, key=lambda alarm: (alarm.begins, alarm.kind))


def _next(
    before: tuple[Alarm, int] | None,
    kind: FindingKind,
    period: JudgedPeriod,
    own: Sequence[Finding],
    clear_periods: int,
) -> tuple[Alarm, int] | None:
    """The alarm after a period, and for how many it has been quiet; None where there is none."""
    beyond = tuple(finding for finding in own if finding.level is not None)
    if before is None:
        if not beyond:
            return None
        suggestion = _suggestion(kind, beyond, period.findings)
        return Alarm(kind, period.begins, period.begins, None, _highest(beyond), beyond, suggestion), 0
    alarm, quiet = before
    if beyond:
        level: Level = "act" if "act" in (alarm.level, _highest(beyond)) else "watch"
        suggestion = _suggestion(kind, beyond, period.findings)
        return replace(alarm, last=period.begins, level=level, findings=beyond, suggestion=suggestion), 0
    subjects = {finding.subject for finding in alarm.findings}
    if any(finding.subject in subjects for finding in own):
        return alarm, 0
    if quiet + 1 >= clear_periods:
        return replace(alarm, ended=period.begins), 0
    return alarm, quiet + 1


def _highest(findings: Sequence[Finding]) -> Level:
    return "act" if any(finding.level == "act" for finding in findings) else "watch"


def _suggestion(kind: FindingKind, beyond: Sequence[Finding], all_findings: Sequence[Finding]) -> Suggestion:
    """What to do: a broken feed is put right; who applies has changed only if the answers changed with them."""
    if kind in ("broken_feature", "skew"):
        return "roll_back"
    if kind == "discrimination":
        return "retrain" if _highest(beyond) == "act" else "watch"
    if kind == "sudden_shift":
        # A season or a month's length moves some features at once as well: somebody has to look before anything else.
        return "watch"
    if kind in ("concept_drift", "calibration"):
        return "retrain" if _highest(beyond) == "act" else "recalibrate"
    answers = [finding for finding in all_findings if finding.kind == "prediction_drift" and finding.level]
    if any(finding.kind == "broken_feature" for finding in all_findings):
        return "roll_back" if kind == "prediction_drift" else "watch"
    if kind == "prediction_drift":
        return "retrain" if _highest(beyond) == "act" else "recalibrate"
    return "retrain" if answers and _highest(beyond) == "act" else "watch"

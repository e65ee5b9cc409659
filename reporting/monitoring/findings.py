"""What of a period's figures is worth an alarm, and what explains it: features and the segment, the strongest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from reporting.monitoring.counts import EVERYTHING, Segment
from reporting.monitoring.drift import ColumnDrift, ColumnShape, DataDrift
from reporting.monitoring.multivariate import MultivariateDrift
from reporting.monitoring.skew import Skew
from reporting.monitoring.thresholds import FindingKind, Thresholds
from training.reference import FEATURE, PROBABILITY

Level = Literal["watch", "act"]

_EXPLAINS_ALL: Final = 0.6
"""Where all rows together moved by this share of what the most moved segment did, the shift is everybody's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one column that is beyond its threshold, or nearly so.

    Attributes:
        kind: what it is of.
        subject: the column, without ``feature:``.
        segment: in which it shows.
        measure: what was measured.
        value: of the measure.
        threshold: of the measure.
        level: None where it is only too much for an alarm to end.
        en: in words.
        zh: the same.
    """

    kind: FindingKind
    subject: str
    segment: str
    measure: str
    value: float
    threshold: float
    level: Level | None
    en: str
    zh: str


def findings_of(drift: DataDrift, thresholds: Thresholds) -> list[Finding]:
    """What is beyond thresholds: broken features first, then shifts, the largest first.

    A shift has to be larger than its threshold and beyond chance, over all columns and segments of the period together.
    """
    broken = _broken(drift, thresholds)
    known = {found.subject for found in broken}
    moved = [found for found in _moved(drift, thresholds) if found.subject not in known]
    return [*broken, *moved]


def sudden_findings(drift: DataDrift, thresholds: Thresholds, before: str) -> list[Finding]:
    """What moved since ``before``, the periods just ahead: what grows slowly does not, a break does.

    Of features that training itself says are broken, the break is told already.
    """
    return [
        replace(
            one,
            kind="sudden_shift",
            en=one.en.replace("against training", f"against {before}"),
            zh=one.zh.replace("与训练样本相比", f"与 {before} 相比"),
        )
        for one in _moved(drift, thresholds)
    ]


def multivariate_findings(drift: MultivariateDrift, thresholds: Thresholds) -> list[Finding]:
    """Whether all columns together are beyond thresholds, by the trees that tell them apart or by reconstruction."""
    bounds, names = thresholds.multivariate, ", ".join(drift.features)
    found = []
    if drift.classifier_auc >= bounds.classifier_auc:
        found.append(
            Finding(
                "multivariate_drift", drift.features[0], str(EVERYTHING), "classifier_auc", drift.classifier_auc,
                bounds.classifier_auc, "watch",
                f"trees tell rows of now from those of training with an AUC of {drift.classifier_auc:.3f}, by {names}",
                f"分类器可将当期样本与训练样本区分开（AUC {drift.classifier_auc:.3f}），主要依据：{names}",
            )
        )  # fmt: skip
    if drift.reconstruction >= bounds.reconstruction:
        found.append(
            Finding(
                "multivariate_drift", drift.features[0], str(EVERYTHING), "reconstruction", drift.reconstruction,
                bounds.reconstruction, "watch",
                f"columns no longer go together as they did: the error of putting rows together from the principal "
                f"components of training is {drift.reconstruction:.2f} times that of training",
                f"特征间的关系发生变化：主成分重构误差为训练时的 {drift.reconstruction:.2f} 倍",
            )
        )  # fmt: skip
    return found


def skew_findings(skew: Skew, thresholds: Thresholds) -> list[Finding]:
    """Features of which more rows differ from the store than may, the most first."""
    bound = thresholds.skew.differing
    return [
        Finding(
            "skew", one.column, str(EVERYTHING), "differing_share", one.differing / skew.rows, bound, "act",
            f"{one.differing:,} of {skew.rows:,} rows had another value than the feature store gives for that instant",
            f"抽查 {skew.rows:,} 行中有 {one.differing:,} 行的取值与特征库按当时时点重算的结果不一致",
        )
        for one in skew.columns
        if one.differing / skew.rows > bound
    ]  # fmt: skip


def beyond_chance(drifts: Sequence[ColumnDrift], share: float) -> list[bool]:
    """Which of them chance does not explain: Holm (1979), A simple sequentially rejective multiple test procedure."""
    order = sorted(range(len(drifts)), key=lambda place: drifts[place].p_value)
    found = [False] * len(drifts)
    for rank, place in enumerate(order):
        if drifts[place].p_value > share / (len(drifts) - rank):
            break
        found[place] = True
    return found


def _judged(drift: DataDrift, thresholds: Thresholds) -> list[ColumnDrift]:
    least = thresholds.least_parties
    return [one for one in drift.columns if one.parties >= least and one.reference_parties >= least]


def _moved(drift: DataDrift, thresholds: Thresholds) -> list[Finding]:
    judged = _judged(drift, thresholds)
    sure = beyond_chance(judged, thresholds.false_alarms)
    by_column: dict[str, list[ColumnDrift]] = {}
    for one, is_sure in zip(judged, sure, strict=True):
        if is_sure and one.excess >= thresholds.drift.clear:
            by_column.setdefault(one.column, []).append(one)
    strongest = sorted((_explaining(found) for found in by_column.values()), key=lambda one: (-one.excess, one.column))
    return [_shift(one, drift.shapes[one.column], thresholds) for one in strongest]


def _explaining(drifts: Sequence[ColumnDrift]) -> ColumnDrift:
    """The rows that a column's shift is best told of: all, unless one segment moved much more."""
    most = max(drifts, key=lambda one: one.excess)
    everywhere = [one for one in drifts if one.segment == EVERYTHING]
    return everywhere[0] if everywhere and everywhere[0].excess >= _EXPLAINS_ALL * most.excess else most


def _shift(one: ColumnDrift, shape: ColumnShape, thresholds: Thresholds) -> Finding:
    bounds = thresholds.drift
    level: Level | None = "act" if one.excess >= bounds.act else "watch" if one.excess >= bounds.watch else None
    answers = one.column == PROBABILITY
    subject = one.column.removeprefix(FEATURE)
    means = _means(shape) if one.segment == EVERYTHING else ("", "")
    return Finding(
        kind="prediction_drift" if answers else "feature_drift",
        subject=subject,
        segment=str(one.segment),
        measure="stability_index",
        value=one.stability_index,
        threshold=bounds.watch,
        level=level,
        en=f"PSI {one.stability_index:.3f} against training in {_rows(one)}{means[0]}",
        zh=f"与训练样本相比 PSI 为 {one.stability_index:.3f}（{_segment_zh(one.segment)}，{one.rows:,} 行）{means[1]}",
    )


def _means(shape: ColumnShape) -> tuple[str, str]:
    if shape.mean is None or shape.reference_mean is None:
        return "", ""
    return (
        f"; its mean is {shape.mean:.4g}, was {shape.reference_mean:.4g}",
        f"；均值由 {shape.reference_mean:.4g} 变为 {shape.mean:.4g}",
    )


def _broken(drift: DataDrift, thresholds: Thresholds) -> list[Finding]:
    """Faults of feeds, the largest share of rows first: a unit, one value for all, no values, ranges, codes."""
    found = [_not_logged(column) for column in drift.not_logged]
    for one in _judged(drift, thresholds):
        if one.column != PROBABILITY and one.segment == EVERYTHING:
            found += _faults(one, drift.shapes[one.column], thresholds)
    strongest = sorted(found, key=lambda one: (-one.value, one.subject))
    first: dict[str, Finding] = {}
    for fault in strongest:
        first.setdefault(fault.subject, fault)
    return list(first.values())


def _faults(one: ColumnDrift, shape: ColumnShape, thresholds: Thresholds) -> Iterable[Finding]:
    bounds = thresholds.broken
    more_missing = one.missing_share - one.reference_missing_share
    if shape.scaled_by is not None and one.excess >= thresholds.drift.watch:
        factor = f"{shape.scaled_by:g}"
        yield _fault(one, "scaled_by", 1.0, 0.0, f"all its values are {factor} times those of training: another unit?",
                     f"取值整体为训练时的 {factor} 倍，疑似单位变更（如元与分）")  # fmt: skip
    if shape.constant and one.excess >= thresholds.drift.watch:
        yield _fault(one, "constant", 1.0, 0.0, "every row has the same value, which training had not",
                     "所有样本取值相同，而训练时并非如此")  # fmt: skip
    if more_missing >= bounds.missing_more_by:
        shares = f"{one.missing_share:.1%}", f"{one.reference_missing_share:.1%}"
        yield _fault(one, "missing_share", more_missing, bounds.missing_more_by,
                     f"{shares[0]} of rows have no value, at training {shares[1]}",
                     f"缺失率为 {shares[0]}，训练时为 {shares[1]}")  # fmt: skip
    if one.far_share >= bounds.far_outside:
        yield _fault(one, "far_share", one.far_share, bounds.far_outside,
                     f"{one.far_share:.1%} of rows lie far beyond what training saw",
                     f"{one.far_share:.1%} 的取值远超训练时的范围")  # fmt: skip
    if one.unseen_share >= bounds.unseen:
        names = ", ".join(shape.unseen)
        yield _fault(one, "unseen_share", one.unseen_share, bounds.unseen,
                     f"{one.unseen_share:.1%} of rows have codes that training never had: {names}",
                     f"{one.unseen_share:.1%} 的取值为训练时未出现的类别：{names}")  # fmt: skip


def _fault(one: ColumnDrift, measure: str, value: float, threshold: float, en: str, zh: str) -> Finding:
    return Finding(
        "broken_feature", one.column.removeprefix(FEATURE), str(one.segment), measure, value, threshold, "act", en, zh
    )


def _not_logged(column: str) -> Finding:
    return Finding(
        "broken_feature", column.removeprefix(FEATURE), str(EVERYTHING), "not_logged", 1.0, 0.0, "act",
        "the log does not have it at all, though the model reads it", "日志中完全没有该特征，而模型需要读取它",
    )  # fmt: skip


def _rows(one: ColumnDrift) -> str:
    return f"all {one.rows:,} rows" if one.segment == EVERYTHING else f"{one.rows:,} rows of {one.segment}"


def _segment_zh(segment: Segment) -> str:
    return "全部样本" if segment == EVERYTHING else str(segment)

"""What a month's performance says to the thresholds, in figures, findings and lines of the report."""

import math

from scipy.stats import norm

from reporting.monitoring.figures import Figure
from reporting.monitoring.findings import Finding, Level
from reporting.monitoring.notes import Note
from reporting.monitoring.performance.measured import EarlyOf, PerformanceReference, PeriodPerformance, Realised
from reporting.monitoring.thresholds import Bounds, FindingKind, Thresholds
from training.validation.discrimination import Interval


def performance_figures(found: PeriodPerformance, period: str) -> list[Figure]:
    """All figures of a month, for tables."""
    figures: list[Figure] = []
    if found.estimated is not None:
        figures += [
            _interval(f"expected_{name}", period, found.estimated.rows, getattr(found.estimated, name))
            for name in ("auc", "ks", "default_rate", "approval_rate", "default_rate_of_approved")
        ]
    if found.early is not None:
        signs = found.early.signs
        of, rows = found.early.of, signs.rows
        figures += [
            Figure("early_ratio", of, rows, signs.ratio, signs.low, signs.high),
            Figure("early_rate", of, rows, signs.observed / rows),
            Figure("implied_default_rate", of, rows, signs.implied_default_rate),
        ]
    if found.realised is not None:
        result, of = found.realised.performance, found.realised.of
        figures += [
            _interval("realised_auc", of, result.rows, found.realised.auc),
            _interval("expected_auc_then", of, result.rows, found.realised.expected_auc),
            Figure("realised_ks", of, result.rows, result.ks),
            Figure("realised_default_rate", of, result.rows, result.event_rate),
            Figure("predicted_default_rate", of, result.rows, result.mean_probability),
            Figure("brier", of, result.rows, result.brier),
        ]
        figures += [
            Figure(f"realised_default_rate_{grade.grade}", of, grade.rows, grade.event_rate)
            for grade in found.realised.grades
        ]
    return [figure for figure in figures if math.isfinite(figure.value)]


def performance_findings(
    found: PeriodPerformance, reference: PerformanceReference, thresholds: Thresholds
) -> list[Finding]:
    """What is beyond thresholds, and beyond chance."""
    findings = [
        _early(found.early, thresholds) if found.early else None,
        _calibration(found.realised, thresholds) if found.realised else None,
        _sorts(found.realised.auc, "realised", reference, thresholds) if found.realised else None,
        _sorts(found.estimated.auc, "expected", reference, thresholds) if found.estimated else None,
    ]
    return [finding for finding in findings if finding is not None]


def performance_notes(found: PeriodPerformance, findings: list[Finding]) -> list[Note]:
    """What has to be said beside the figures."""
    notes = [
        Note(
            "too_few_outcomes",
            f"Outcomes of the scores of {name} are over, but too few to say anything.",
            f"{name} 评分的表现期已满，但违约样本过少，不作判断。",
        )
        for name in found.too_few
    ]
    notes += [
        Note(
            "outcomes_late",
            f"Outcomes of the scores of {name} should be known by now, and are not recorded yet: load newer data.",
            f"{name} 评分的结果本应已知，但数据尚未更新至此，请加载新数据。",
        )
        for name in found.late
    ]
    if found.realised is not None and found.realised.contradicted:
        count, of = found.realised.contradicted, found.realised.of
        notes.append(
            Note(
                "contradicted_labels",
                f"{count:,} scores of {of} have records that contradict each other: a default without arrears, or "
                "arrears of 90 days without a default. The default on record counts.",
                f"{of} 有 {count:,} 条评分的记录相互矛盾（有违约记录而无逾期，或逾期 90 天而无违约记录），"
                "以违约记录为准。",
            )
        )
    if found.estimated is not None and any(finding.kind == "concept_drift" for finding in findings):
        notes.append(
            Note(
                "concept_moved",
                "The risk of grades has moved, as early signs show: what is expected of AUC, KS and default rates "
                "rests on the risk at training, and is not to be relied on.",
                "早期逾期表明各评级的风险已发生变化：AUC、KS 与违约率的预估以训练时的风险关系为前提，不宜采信。",
            )
        )
    return notes


def _early(found: EarlyOf, thresholds: Thresholds) -> Finding | None:
    signs, bounds = found.signs, thresholds.performance.early
    off = abs(signs.ratio - 1)
    if signs.p_value > thresholds.false_alarms or off < bounds.watch:
        return None
    names = ", ".join(found.explanation.features)
    where = "" if found.explanation.segment == "all" else f", {found.explanation.ratio:.2f} times in it"
    return _finding(
        "concept_drift",
        "early_arrears",
        found.explanation.segment,
        "early_ratio",
        signs.ratio,
        bounds,
        off,
        f"of the scores of {found.of}, {signs.observed:,} were 30 days past due within 3 months, {signs.expected:,.0f} "
        f"were expected of their grades ({signs.ratio:.2f} times, {signs.low:.2f} to {signs.high:.2f}{where}); "
        f"told most by {names}",
        f"{found.of} 评分的客户中，3 个月内逾期 30 天以上 {signs.observed:,} 户，按评级预期 {signs.expected:,.0f} 户"
        f"（{signs.ratio:.2f} 倍，区间 {signs.low:.2f} 至 {signs.high:.2f}）；主要特征：{names}",
    )


def _calibration(found: Realised, thresholds: Thresholds) -> Finding | None:
    result, bounds = found.performance, thresholds.performance.calibration
    ratio = result.event_rate / result.mean_probability
    error = math.sqrt(result.mean_probability * (1 - result.mean_probability) / result.rows)
    p_value = 2 * float(norm.sf(abs(result.event_rate - result.mean_probability) / error))
    if p_value > thresholds.false_alarms or abs(ratio - 1) < bounds.watch:
        return None
    red = [grade.grade for grade in found.grades if grade.light == "red"]
    of_red = f"; red: {', '.join(red)}" if red else ""
    return _finding(
        "calibration", "default_rate", "all", "default_ratio", ratio, bounds, abs(ratio - 1),
        f"{result.event_rate:.2%} of the scores of {found.of} defaulted, {result.mean_probability:.2%} were predicted "
        f"({ratio:.2f} times){of_red}",
        f"{found.of} 评分的实际违约率为 {result.event_rate:.2%}，预测为 {result.mean_probability:.2%}（{ratio:.2f} 倍）"
        + (f"；红灯评级：{'、'.join(red)}" if red else ""),
    )  # fmt: skip


def _sorts(auc: Interval, how: str, reference: PerformanceReference, thresholds: Thresholds) -> Finding | None:
    bounds, before = thresholds.performance.discrimination, reference.performance.auc
    lost = before - auc.figure
    if lost < bounds.watch or auc.high >= before:
        return None
    zh = "实际" if how == "realised" else "预估"
    return _finding(
        "discrimination", f"{how}_auc", "all", f"{how}_auc", auc.figure, bounds, lost,
        f"the {how} AUC is {auc.figure:.3f} ({auc.low:.3f} to {auc.high:.3f}), at training it was {before:.3f}",
        f"{zh} AUC 为 {auc.figure:.3f}（区间 {auc.low:.3f} 至 {auc.high:.3f}），训练时为 {before:.3f}",
    )  # fmt: skip


def _finding(
    kind: FindingKind,
    subject: str,
    segment: str,
    measure: str,
    value: float,
    bounds: Bounds,
    off: float,
    en: str,
    zh: str,
) -> Finding:
    level: Level = "act" if off >= bounds.act else "watch"
    return Finding(kind, subject, segment, measure, value, bounds.watch, level, en, zh)


def _interval(name: str, of: str, rows: int, interval: Interval) -> Figure:
    low, high = (bound if math.isfinite(bound) else None for bound in (interval.low, interval.high))
    return Figure(name, of, rows, interval.figure, low, high)

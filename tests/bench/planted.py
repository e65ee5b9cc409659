"""Shifts planted into weeks of scored rows, and weeks that nobody disturbed: what is found, how soon, and what is not.

The rows are of the small simulated group, as its credit model was trained on them: half of the parties are the
reference, weeks are drawn from the others, so that what no shift explains is there too: other parties, alike columns,
several rows of a party.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl

from features.bins import bin_counts, stability_index
from features.connection import bounded_connection
from reporting.monitoring.alarms import Alarm, JudgedPeriod, alarms_of
from reporting.monitoring.counts import CountedRows
from reporting.monitoring.drift import data_drift
from reporting.monitoring.findings import findings_of
from reporting.monitoring.thresholds import Thresholds, read_thresholds
from training.frames import party_tickets
from training.reference import FEATURE, PROBABILITY, column_profile

_FEATURES: Final = 60
_ROWS_A_WEEK: Final = 4_000
_PLANTED_PSI: Final = 0.2
_FIRST: Final = date(2026, 1, 5)
_AT_REST: Final = 3
"""Weeks before a shift begins."""

_SEGMENT: Final = ("legal_entity", "credit")

Change = Callable[[pl.DataFrame, int], pl.DataFrame]
"""Rows of a week, and how many weeks ago the shift began (below 0: it has not)."""


@dataclass(frozen=True)
class Shift:
    """A planted shift: what it does to the rows, and by when (weeks after it began) it is to be found."""

    kind: str
    feature: str
    change: Change
    found_by: int
    segment: str | None = None


class Weeks:
    """Weeks of rows of one half of the parties, held against the other half."""

    def __init__(self, rows: pl.DataFrame, thresholds: Thresholds, threads: int = 2) -> None:
        self.features = [name for name in rows.columns if name.startswith(FEATURE)]
        half = pl.Series(party_tickets(rows["party_id"]) % 2 == 0)
        self.reference, self.population = rows.filter(half), rows.filter(~half)
        self.thresholds = thresholds
        self._threads = threads
        self._profiles = [column_profile(self.reference[name]) for name in (*self.features, PROBABILITY)]
        self._connection: duckdb.DuckDBPyConnection = bounded_connection(threads)
        self._connection.from_arrow(self.reference.to_arrow()).create("reference_rows")
        self._counted = CountedRows(self._connection, "reference_rows", remember_values=True)

    def close(self) -> None:
        """Let go of DuckDB's memory."""
        self._connection.close()

    def judged(
        self, number: int, rng: np.random.Generator, change: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> JudgedPeriod:
        """A week of rows drawn anew, changed, and looked at."""
        drawn = self.population[rng.choice(self.population.height, _ROWS_A_WEEK, replace=False)]
        self._connection.from_arrow(change(drawn).to_arrow()).create("current_rows")
        drift = data_drift(
            self._counted, CountedRows(self._connection, "current_rows"), self._profiles, threads=self._threads
        )
        self._connection.execute("DROP TABLE current_rows")
        findings = tuple(findings_of(drift, self.thresholds))
        return JudgedPeriod(_FIRST + timedelta(weeks=number), judged=True, findings=findings)


def planted(rows: pl.DataFrame, features_each: int, seed: int) -> list[dict[str, Any]]:
    """Plant each kind of shift into several features, one after the other, after some weeks at rest."""
    weeks = Weeks(_of_features(rows), read_thresholds())
    rng = np.random.default_rng(seed)
    found = []
    for shift in _shifts(weeks, features_each, rng):
        numbers = range(_AT_REST + shift.found_by + 1)
        periods = [weeks.judged(number, rng, _from_week(shift.change, number)) for number in numbers]
        found.append(_outcome(shift, periods, weeks.thresholds))
    weeks.close()
    return found


def undisturbed(rows: pl.DataFrame, count: int, seed: int) -> dict[str, Any]:
    """So many weeks at rest, and the alarms that they raised."""
    weeks = Weeks(_of_features(rows), read_thresholds())
    rng = np.random.default_rng(seed)
    periods = [weeks.judged(number, rng, lambda drawn: drawn) for number in range(count)]
    weeks.close()
    raised = [period for period in periods if any(finding.level for finding in period.findings)]
    alarms = alarms_of(periods, weeks.thresholds.drift.clear_periods)
    return {
        "weeks": count,
        "weeks_with_a_finding": len(raised),
        "alarms": len(alarms),
        "rate": len(raised) / count,
        "largest": max((finding.value for period in periods for finding in period.findings), default=0.0),
    }


def _of_features(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns with the most values, of those that few rows lack: what a scorecard would have."""
    names = [name for name in rows.columns if name.startswith(FEATURE)]
    rich = sorted(names, key=lambda name: (-min(rows[name].n_unique(), 1_000), rows[name].null_count(), name))
    keys = [name for name in rows.columns if not name.startswith(FEATURE)]
    return rows.select(*keys, *rich[:_FEATURES])


def _shifts(weeks: Weeks, each: int, rng: np.random.Generator) -> Iterator[Shift]:
    own = pl.col(_SEGMENT[0]) == _SEGMENT[1]
    there = [rows.filter(own) for rows in (weeks.population, weeks.reference)]
    usable = [
        name
        for name in weeks.features
        if all(len(column_profile(rows[name]).edges) >= 7 for rows in (weeks.reference, there[1]))
    ]
    planted_into = 0
    for feature in rng.permutation(usable).tolist():
        everywhere = _moved_by(weeks.population, weeks.reference, feature)
        in_segment = _moved_by(there[0], there[1], feature)
        # Where most rows have no value, no move of the others is so large a shift.
        if everywhere is None or in_segment is None or planted_into == each:
            continue
        planted_into += 1
        yield Shift("sudden", feature, _ranks_up(feature, partial(_at_once, everywhere)), 0)
        yield Shift("gradual", feature, _ranks_up(feature, partial(_bit_by_bit, everywhere)), 5)
        yield Shift("seasonal", feature, _ranks_up(feature, partial(_for_a_season, everywhere)), 3)
        segment = "=".join(_SEGMENT)
        yield Shift("one segment", feature, _ranks_up(feature, partial(_at_once, in_segment), own), 0, segment)
        yield Shift("yuan to fen", feature, _set_to(feature, pl.col(feature) * 100), 0)
        yield Shift("zeros", feature, _set_to(feature, pl.lit(0.0)), 0)


def _at_once(ranks: float, _weeks_ago: int) -> float:
    return ranks


def _bit_by_bit(ranks: float, weeks_ago: int) -> float:
    return ranks * min((weeks_ago + 1) / 6, 1.0)


def _for_a_season(ranks: float, weeks_ago: int) -> float:
    return ranks * math.sin(math.pi * (weeks_ago + 1) / 8)


def _ranks_up(feature: str, ranks: Callable[[int], float], own: pl.Expr | None = None) -> Change:
    return lambda rows, ago: _shifted(rows, feature, ranks(ago), own)


def _set_to(feature: str, value: pl.Expr) -> Change:
    return lambda rows, _ago: rows.with_columns(value.alias(feature))


def _shifted(rows: pl.DataFrame, feature: str, ranks: float, own: pl.Expr | None = None) -> pl.DataFrame:
    """Values moved up by a share of the ranks: each becomes the one that lies so far above it, the highest stay."""
    values = rows[feature].to_numpy().copy()
    there = ~np.isnan(values)
    if own is not None:
        there &= rows.select(own).to_series().to_numpy()
    ordered = np.sort(values[there])
    places = np.searchsorted(ordered, values[there], side="left") / max(len(ordered), 1)
    values[there] = np.quantile(ordered, np.clip(places + ranks * (1 - places), 0, 1), method="lower")
    return rows.with_columns(pl.Series(feature, values))


def _moved_by(population: pl.DataFrame, reference: pl.DataFrame, feature: str) -> float | None:
    """How far to move a feature so that its PSI on all rows is what is to be planted; None if it cannot be so large."""
    profile = column_profile(reference[feature])
    edges = np.array(profile.edges)
    before = np.array(profile.counts)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        values = _shifted(population, feature, middle)[feature].to_numpy()
        is_less = stability_index(before, bin_counts(values, edges)) < _PLANTED_PSI
        low, high = (middle, high) if is_less else (low, middle)
    return high if high < 1.0 else None


def _from_week(change: Change, number: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return (lambda rows: change(rows, number - _AT_REST)) if number >= _AT_REST else (lambda rows: rows)


def _outcome(shift: Shift, periods: Sequence[JudgedPeriod], thresholds: Thresholds) -> dict[str, Any]:
    begins = periods[_AT_REST].begins
    raised = [alarm for alarm in alarms_of(periods, thresholds.drift.clear_periods) if alarm.begins >= begins]
    alarm: Alarm | None = min(raised, key=lambda one: one.begins, default=None)
    first = alarm.findings[0] if alarm else None
    subject = shift.feature.removeprefix(FEATURE)
    return {
        "kind": shift.kind,
        "feature": subject,
        "found_after_weeks": None if alarm is None else (alarm.begins - begins).days // 7,
        "named_first": first is not None and first.subject == subject,
        "segment_named": None if shift.segment is None else first is not None and first.segment == shift.segment,
        "as": None if first is None else first.measure,
        "false_before": sum(any(finding.level for finding in period.findings) for period in periods[:_AT_REST]),
    }

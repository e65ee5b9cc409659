"""One version of a model, watched period by period: its scored rows held against its reference."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb

from features.connection import bounded_connection
from group.settings import Settings
from reporting.monitoring.counts import EVERYTHING, CountedRows
from reporting.monitoring.decisions.decided import decision_figures, fairness_findings, month_decisions
from reporting.monitoring.drift import DataDrift, data_drift
from reporting.monitoring.figures import Figure
from reporting.monitoring.findings import (
    Finding,
    findings_of,
    multivariate_findings,
    skew_findings,
    sudden_findings,
)
from reporting.monitoring.kept import MonitoredPeriod
from reporting.monitoring.month import Month
from reporting.monitoring.multivariate import MultivariateDrift, multivariate_drift
from reporting.monitoring.notes import Note
from reporting.monitoring.performance.judged import (
    performance_figures,
    performance_findings,
    performance_notes,
)
from reporting.monitoring.performance.measured import month_performance, performance_reference
from reporting.monitoring.performance.vintages import roll_rates, vintage_curves
from reporting.monitoring.periods import Period, periods_before
from reporting.monitoring.scored import REPLAYED, ScoredFiles, WatchedModel
from reporting.monitoring.skew import Recompute, Skew, skew_of
from reporting.monitoring.thresholds import Thresholds, thresholds_sha256
from training import ColumnProfile, Reference
from training.reference import FEATURE, TRAIN

_MOST_CELLS_IN_MEMORY: Final = 40_000_000
"""Of fewer values than these, rows are read once and kept in memory: 0.3 GB."""


@dataclass(frozen=True)
class OutcomeData:
    """Where outcomes of parties are found, in how many months a default counts, and up to when all are recorded."""

    canonical: Path
    horizon_months: int
    observed_until: datetime


@dataclass(frozen=True)
class Watched:
    """What was seen of a period: what is kept of it, all figures of its columns if it had rows, and of performance."""

    period: MonitoredPeriod
    drift: DataDrift | None
    figures: tuple[Figure, ...]


class PeriodPages(Protocol):
    """Where pages of periods are made."""

    def add(
        self,
        model: WatchedModel,
        period: Period,
        drift: DataDrift,
        reference: CountedRows,
        current: CountedRows,
        threshold: float,
    ) -> None:
        """Make those of a period, in place of those that it had."""


class ModelWatch:
    """A version's scored rows and its reference, for as many periods as are asked for."""

    def __init__(
        self,
        model: WatchedModel,
        files: ScoredFiles,
        reference: Reference | None,
        thresholds: Thresholds,
        connection: duckdb.DuckDBPyConnection,
        *,
        threads: int,
        code: str,
        outcomes: OutcomeData | None = None,
        pages: PeriodPages | None = None,
        recompute: Recompute | None = None,
    ) -> None:
        """Watch ``model``; with ``outcomes``, months say what is expected of them and what came of earlier ones."""
        self.model = model
        self._files = files
        self._reference = reference
        self._thresholds = thresholds
        self._connection = connection
        self._threads = threads
        self._code = code
        self._outcomes = outcomes
        self._pages = pages
        self._recompute = recompute
        self._performance = (
            None
            if reference is None or outcomes is None
            else performance_reference(reference, outcomes.canonical, outcomes.horizon_months)
        )
        self._reference_rows = None if reference is None else self._counted_reference(reference)

    def period(self, period: Period, at: datetime, progress: Callable[[float], None] = lambda _share: None) -> Watched:
        """Look at a period: count, compare, and say what is beyond thresholds or could not be looked at."""
        files = self._files.of_period(self.model, period)
        drift, notes, together, skew = None, list(self._notes_without_rows()), None, None
        sudden: list[Finding] = []
        with self._rows(files, period.instants, "current_rows") as current:
            rows, parties = 0, 0
            if current is not None:
                sizes = current.sizes()
                rows, parties = (sizes[EVERYTHING].rows, sizes[EVERYTHING].parties) if sizes else (0, 0)
                notes += self._notes(rows, parties)
                if rows and self._reference is not None and self._reference_rows is not None:
                    drift = data_drift(
                        self._reference_rows,
                        current,
                        self._reference.columns,
                        threads=self._threads,
                        progress=progress,
                    )
                    notes += _notes_on_segments(drift, self._reference_rows, self._thresholds)
                    if parties >= self._thresholds.least_parties:
                        sudden = self._since_before(period, current)
                    if parties >= self._thresholds.least_parties and period.kind != "day":
                        together = self._together(period, drift, self._reference_rows, current)
                    if self._recompute is not None and period.kind != "day":
                        skew = self._skew(current, self._recompute)
        if not rows:
            notes.append(Note("no_rows", f"No rows were scored in {period.name}.", f"{period.name} 没有评分记录。"))
        findings = []
        judged = drift is not None and parties >= self._thresholds.least_parties
        if drift is not None and judged:
            findings += findings_of(drift, self._thresholds)
            broken = {finding.subject for finding in findings if finding.kind == "broken_feature"}
            findings += [finding for finding in sudden if finding.subject not in broken]
        if together is not None:
            findings += multivariate_findings(together, self._thresholds)
        if skew is not None:
            findings += skew_findings(skew, self._thresholds)
            notes += _notes_on_skew(skew)
        figures, details = self._of_performance(period, findings, notes) if period.kind == "month" else ((), {})
        kept = MonitoredPeriod(
            model=self.model,
            period=period,
            rows=rows,
            parties=parties,
            judged=judged,
            notes=tuple(notes),
            findings=tuple(findings),
            details=details | ({"multivariate": asdict(together)} if together is not None else {}),
            reference_sha256=self._reference.sha256 if self._reference is not None else None,
            data_sha256=_files_sha256(files),
            thresholds_sha256=thresholds_sha256(),
            code=self._code,
            made_at=at,
        )
        return Watched(kept, drift, tuple(figures))

    def _together(
        self, period: Period, drift: DataDrift, reference: CountedRows, current: CountedRows
    ) -> MultivariateDrift | None:
        """All columns together, of rows drawn from both sides; and the period's pages."""
        columns = [column.name for column in self._columns() if column.name in current.columns]
        count = self._thresholds.sampled_rows
        sides = [rows.sample(columns, count) for rows in (reference, current)]
        if self._pages is not None:
            self._pages.add(self.model, period, drift, reference, current, self._thresholds.drift.watch)
        return multivariate_drift(sides[0], sides[1], columns)

    def _skew(self, current: CountedRows, recompute: Recompute) -> Skew | None:
        columns = [column.name for column in self._columns() if column.name in current.columns]
        features = [name for name in columns if name.startswith(FEATURE)]
        return skew_of(current.of_parties(features, self._thresholds.skew.rows), features, recompute)

    def _columns(self) -> Sequence[ColumnProfile]:
        return self._reference.columns if self._reference is not None else ()

    def _of_performance(
        self, period: Period, findings: list[Finding], notes: list[Note]
    ) -> tuple[Sequence[Figure], dict[str, Any]]:
        """A month's performance: its figures and the report's curves; what is found is added to the other findings."""
        if self._performance is None or self._outcomes is None:
            return (), {}
        month = Month(
            files=self._files,
            model=self.model,
            period=period,
            canonical=self._outcomes.canonical,
            horizon_months=self._outcomes.horizon_months,
            # What is not recorded yet has not not happened.
            known_at=min(period.instants[1], self._outcomes.observed_until),
        )
        found = month_performance(self._performance, month)
        own = performance_findings(found, self._performance, self._thresholds)
        findings += own
        notes += performance_notes(found, own)
        figures = performance_figures(found, period.name)
        decided = month_decisions(self._performance.decisions, month)
        if decided is not None:
            findings += fairness_findings(decided, self._performance.decisions, self._thresholds)
            rows = sum(grade.rows for grade in decided.grades)
            figures += decision_figures(decided, period.name, rows)
        details = {
            "performance": asdict(found),
            "decisions": asdict(decided) if decided is not None else None,
            "at_training": asdict(self._performance.performance),
            "vintages": [asdict(one) for one in vintage_curves(month)],
            "rolls": [asdict(one) for one in roll_rates(month.canonical, period)],
        }
        return figures, details

    def _counted_reference(self, reference: Reference) -> CountedRows:
        rows = self._connection.read_parquet(str(reference.rows_file)).filter(f"fold = '{TRAIN}'")
        small = reference.kept_rows * len(reference.columns) <= _MOST_CELLS_IN_MEMORY
        rows.create("reference_rows") if small else rows.create_view("reference_rows")
        return CountedRows(self._connection, "reference_rows", remember_values=small)

    def _since_before(self, period: Period, current: CountedRows) -> list[Finding]:
        """What moved since the periods just ahead; nothing where too few were scored in them."""
        ahead = periods_before(period, getattr(self._thresholds.recent, period.kind))
        files = self._files.files(self.model, ahead[0].begins, ahead[-1].ends)
        instants = ahead[0].instants[0], ahead[-1].instants[1]
        with self._rows(files, instants, "recent_rows") as recent:
            sizes = recent.sizes() if recent is not None else {}
            if recent is None or not sizes or sizes[EVERYTHING].parties < self._thresholds.least_parties:
                return []
            # A column that either side lacks is told of elsewhere.
            shared = [column for column in self._columns() if column.name in recent.columns]
            drift = data_drift(recent, current, shared, threads=self._threads, shapes=False)
        before = ahead[0].name if len(ahead) == 1 else f"{ahead[0].name} … {ahead[-1].name}"
        return sudden_findings(drift, self._thresholds, before)

    @contextmanager
    def _rows(
        self, files: Sequence[Path], instants: tuple[datetime, datetime], name: str
    ) -> Iterator[CountedRows | None]:
        """Rows scored between two instants, as a table or, where they are too many, a view; None where no file is."""
        if not files:
            yield None
            return
        first, end = instants
        rows = self._connection.read_parquet([str(file) for file in files], union_by_name=True).filter(
            f"scored_at >= TIMESTAMPTZ '{first.isoformat()}' AND scored_at < TIMESTAMPTZ '{end.isoformat()}'"
        )
        small = _rows_in(self._connection, files) * len(rows.columns) <= _MOST_CELLS_IN_MEMORY
        rows.create(name) if small else rows.create_view(name)
        try:
            yield CountedRows(self._connection, name)
        finally:
            self._connection.execute(f"DROP {'TABLE' if small else 'VIEW'} {name}")

    def _notes_without_rows(self) -> Iterator[Note]:
        if self._reference is None:
            yield Note(
                "no_reference",
                f"{self.model} has no reference in the registry, so its rows are held against nothing.",
                f"{self.model} 在模型库中没有参考样本，无法比较。",
            )

    def _notes(self, rows: int, parties: int) -> Iterator[Note]:
        [(replayed, degraded)] = self._connection.execute(
            f"""
            SELECT count(*) FILTER (WHERE origin = '{REPLAYED}'), count(*) FILTER (WHERE degraded)
            FROM current_rows
            """  # noqa: S608 - names of ours
        ).fetchall()
        least = self._thresholds.least_parties
        if rows and parties < least:
            yield Note(
                "too_few",
                f"{rows:,} rows of {parties:,} parties are too few to judge; {least:,} parties are needed.",
                f"仅有 {parties:,} 个客户的 {rows:,} 条记录，少于 {least:,} 个客户，不作判断。",
            )
        if replayed:
            yield Note(
                "replayed",
                f"{replayed:,} of {rows:,} rows were replayed: nobody asked for these scores then.",
                f"{rows:,} 条记录中有 {replayed:,} 条为事后回放，并非当时的实际请求。",
            )
        if degraded:
            yield Note(
                "degraded",
                f"{degraded:,} of {rows:,} rows are earlier scores, given again while the online store was away.",
                f"{rows:,} 条记录中有 {degraded:,} 条为在线特征库不可用期间重复给出的旧评分。",
            )


@contextmanager
def counting(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection within the settings' bounds, for ``ModelWatch``."""
    spilled = settings.home / "scratch"
    with bounded_connection(settings.threads, settings.memory_limit or None, str(spilled)) as connection:
        # Hundreds of queries read the same files.
        connection.execute("SET parquet_metadata_cache = true")
        yield connection


def _notes_on_segments(drift: DataDrift, reference: CountedRows, thresholds: Thresholds) -> Iterator[Note]:
    known = reference.sizes()
    for segment, size in sorted(drift.sizes.items()):
        if segment not in known and size.parties >= thresholds.least_parties:
            yield Note(
                "new_segment",
                f"{size.rows:,} rows are of {segment}, of which training had none.",
                f"{size.rows:,} 条记录属于 {segment}，训练样本中没有该客群。",
            )
    if not any(column.column.startswith(FEATURE) for column in drift.columns):
        yield Note(
            "no_features",
            "The rows hold scores alone: the registry does not know the model that gave them as it was then.",
            "这些记录只有评分而没有特征：模型库中没有当时的模型版本。",
        )


def _notes_on_skew(skew: Skew) -> Iterator[Note]:
    if skew.gone:
        names = ", ".join(skew.gone)
        yield Note(
            "gone_features",
            f"Features that the model reads and that are no longer computed could not be compared: {names}.",
            f"模型读取但已不再计算的特征无法核对：{names}。",
        )


def _rows_in(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> int:
    [(rows,)] = connection.execute(
        "SELECT coalesce(sum(num_rows), 0) FROM parquet_file_metadata(?)", [[str(file) for file in files]]
    ).fetchall()
    return int(rows)


def _files_sha256(files: Sequence[Path]) -> str:
    """Over names and contents of files, in their order."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

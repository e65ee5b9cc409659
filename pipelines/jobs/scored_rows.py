"""Job: scores from the audit log into files that monitoring reads, and past months scored as they would have been."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Final

import polars as pl

from features import open_store, point_in_time_frame, snapshot_instants
from group.audit import AuditRecord, records_after
from group.database import migrated, reading
from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from pipelines.progress import Reporter
from pipelines.workspace import Workspace
from reporting.monitoring.scored import REPLAYED, WHO, ScoredFiles, WatchedModel
from serving.logged import LOGGED_SCHEMA, ColumnsOf, ModelKey, logged_scores
from training import (
    Explainer,
    ModelTampered,
    ReasonBook,
    RegisteredModel,
    RegistryUnavailable,
    grade_of,
    matrix,
    model_version,
    score_points,
)
from training.frames import labelled_population, products_held, who_they_are
from training.reference import FEATURE

_RECORDS_AT_ONCE: Final = 2_000


@dataclass
class Collected:
    """What was read from the log.

    Attributes:
        rows: scores by model.
        strangers: versions that answered and that the registry does not have as they were then: their scores are
            kept without what was seen.
    """

    rows: dict[WatchedModel, int] = field(default_factory=lambda: defaultdict(int))
    strangers: set[ModelKey] = field(default_factory=set)


def collect_scores(settings: Settings, reporter: Reporter) -> Collected:
    """Read what the audit logs of all companies hold beyond what was read before.

    Cut off at any point, the next run does the rest, and nothing twice.

    Raises:
        DatabaseUnavailable: the log cannot be read.
    """
    workspace = Workspace.of(settings)
    files = ScoredFiles(workspace.scored)
    found = Collected()

    @cache
    def columns_of(key: ModelKey) -> Sequence[str] | None:
        columns = _columns_of(key, settings)
        if columns is None:
            found.strangers.add(key)
        return columns

    sequences = dict(files.collected())
    with migrated(settings.state_url) as engine, reporter.bar("scores from the audit log", None) as advance:
        for company in LEGAL_ENTITIES:
            while True:
                done = sequences.get(company, 0)
                with reading(engine, [company]) as connection:
                    records = records_after(connection, company, done, _RECORDS_AT_ONCE)
                if not records:
                    break
                _keep(workspace, files, records, f"{company}-{done + 1:012d}", columns_of, found)
                sequences[company] = records[-1].sequence
                files.note_collected(sequences)
                advance(len(records))
    return found


def replay_scores(
    settings: Settings, registered: RegisteredModel, first: date, last: date, reporter: Reporter
) -> dict[date, int]:
    """Score who was on the books at each month start from ``first`` to ``last``, on what was known then.

    For months before the model was in service, and for books that nobody asked scores of: what it would have answered.
    The rows say that they were replayed. Returns how many rows each instant has.

    Raises:
        ContractBroken: no features were built.
    """
    workspace = Workspace.of(settings)
    files = ScoredFiles(workspace.scored)
    store = open_store(settings)
    model = registered.model
    explainer, book = Explainer(model.booster), ReasonBook(model)
    instants = [at for at in snapshot_instants(workspace.canonical) if first <= at.date() <= last]
    counts: dict[date, int] = {}
    with reporter.bar("scoring past months", float(len(instants))) as advance:
        for instant in instants:
            asked = _on_the_books(workspace, instant)
            frame = point_in_time_frame(store, asked)
            rows = matrix(frame, model.features)
            explained = explainer.explained(rows)
            probability = model.calibration.probability(explained.raw_scores)
            reasons = [[reason["code"] for reason in one] for one in book.reasons_for(explained.contributions).each()]
            answered = asked.select("legal_entity", "party_id").with_columns(
                decision_id=pl.format("replayed-{}-{}", pl.lit(f"{instant:%Y%m%d}"), pl.int_range(pl.len())),
                scored_at=pl.lit(instant, LOGGED_SCHEMA["scored_at"]),
                origin=pl.lit(REPLAYED),
                degraded=pl.lit(value=False),
                features_as_of=pl.lit(instant, LOGGED_SCHEMA["features_as_of"]),
                probability=pl.Series(probability),
                score=pl.Series(score_points(probability)),
                grade=pl.Series(list(map(grade_of, probability.tolist())), dtype=pl.String),
                reasons=pl.Series(reasons, dtype=pl.List(pl.String)),
            )
            missing = [pl.lit(None, kind).alias(name) for name, kind in LOGGED_SCHEMA.items() if name not in answered]
            seen = pl.DataFrame({f"{FEATURE}{name}": rows[:, place] for place, name in enumerate(model.features)})
            whole = answered.with_columns(missing).select(LOGGED_SCHEMA.names()).hstack(seen.fill_nan(None))
            watched = WatchedModel(registered.name, registered.version)
            counts[instant.date()] = files.write(watched, _with_who(workspace, whole), f"{REPLAYED}-{instant:%Y%m%d}")
            advance(1)
    return counts


def _on_the_books(workspace: Workspace, instant: datetime) -> pl.DataFrame:
    # Within no months nobody defaults: what is left is who was on the books and not in default.
    population = labelled_population(workspace.canonical, [instant], 0, instant)
    return population.select("legal_entity", "party_id", "event_timestamp")


def _keep(
    workspace: Workspace,
    files: ScoredFiles,
    records: Sequence[AuditRecord],
    part: str,
    columns_of: ColumnsOf,
    found: Collected,
) -> None:
    for key, rows in logged_scores(records, columns_of).items():
        model = WatchedModel(key.name, key.version)
        found.rows[model] += files.write(model, _with_who(workspace, rows), part)


def _with_who(workspace: Workspace, rows: pl.DataFrame) -> pl.DataFrame:
    """Add who each row is of, where it is of a party."""
    unknown = rows.with_columns(pl.lit("").alias(name) for name in WHO)
    if not any((workspace.canonical / "parties").glob("*.parquet")):
        return unknown
    numbered = rows.with_row_index("place").filter(pl.col("party_id").is_not_null())
    asked = numbered.select("place", "legal_entity", "party_id", event_timestamp="scored_at")
    who = who_they_are(workspace.canonical, asked).with_columns(products_held(workspace.canonical, asked))
    known = asked.select("place").hstack(who.select(WHO))
    joined = rows.with_row_index("place").join(known, on="place", how="left", maintain_order="left").drop("place")
    return joined.with_columns(pl.col(name).fill_null("") for name in WHO)


def _columns_of(key: ModelKey, settings: Settings) -> Sequence[str] | None:
    try:
        registered = model_version(key.version, settings, key.name)
    except (RegistryUnavailable, ModelTampered):
        return None
    return registered.model.read_columns if registered.sha256 == key.sha256 else None

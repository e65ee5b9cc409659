"""Job: from the pooled credit model to one for each segment of the group's lending."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from features import ContractBroken
from group.settings import Settings
from pipelines.jobs.training import incumbent_of, keep_report
from pipelines.progress import Reporter
from pipelines.steps import TRAINING, StepRecord, last_record
from pipelines.workspace import Workspace
from training import (
    Candidate,
    CreditFrame,
    Origin,
    Pooled,
    RegisteredModel,
    ScoringModel,
    Segment,
    SegmentPlan,
    SegmentRuns,
    SmallSegment,
    Split,
    model_version,
    ray_session,
    register,
    report_page,
    segment_plans,
)


@dataclass(frozen=True)
class TrainedSegment:
    """A segment's model in the registry.

    ``trees`` are those beyond the pooled model's, ``pooled_gini`` that model's on the same test rows, ``p_value`` of
    the two being equal.
    """

    segment: Segment
    training_rows: int
    training_defaults: int
    test_rows: int
    trees: int
    default_rate: float
    gini: float
    pooled_gini: float
    p_value: float
    may_become_champion: bool
    registered: RegisteredModel
    report: str


@dataclass(frozen=True)
class TrainedSegments:
    """All segments: those with a model of their own, and those that the pooled one serves."""

    pooled_version: str
    trained: tuple[TrainedSegment, ...]
    small: tuple[SmallSegment, ...]


def train_segments(settings: Settings, reporter: Reporter, *, trained_by: str | None = None) -> TrainedSegments:
    """Train, judge and register a model for each segment that can have one, side by side on Ray.

    Raises:
        ContractBroken: there is no pooled model of these data yet.
        RegistryUnavailable: MLflow does not answer.
        RayUnavailable: the cluster cannot be joined.
    """
    workspace = Workspace.of(settings)
    with reporter.bar("the pooled model and its rows", None):
        work = segment_work(settings, trained_by)
    runs, source = work.runs, work.runs.origin.source
    trained: list[TrainedSegment] = []
    with ray_session(settings), reporter.bar("training the segments on Ray", len(work.plans)) as advance:
        for plan, candidate in runs.candidates(work.plans):
            registered = register(candidate, settings, source=source)
            report = keep_report(workspace, registered, report_page(registered, settings))
            trained.append(_trained(plan, candidate, runs.pooled, registered, report))
            advance(1)
    return TrainedSegments(runs.pooled.version, tuple(sorted(trained, key=lambda one: one.segment)), work.small)


@dataclass(frozen=True)
class SegmentWork:
    """What is to be trained, and how."""

    plans: tuple[SegmentPlan, ...]
    small: tuple[SmallSegment, ...]
    runs: SegmentRuns


def segment_work(settings: Settings, trained_by: str | None = None) -> SegmentWork:
    """The segments of the last training's rows, and the pooled model that they go on from.

    Raises:
        ContractBroken: there is no pooled model of these data yet.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    record = _last_training(workspace)
    found = model_version(record.facts["model"]["version"], settings, record.facts["model"]["name"])
    pooled = Pooled(found.version, found.model, pl.read_parquet(workspace.unseen))
    plans, small = segment_plans(_frame(workspace, record, found.model), pooled)
    runs = SegmentRuns(
        pooled=pooled,
        origin=Origin(found.source, trained_by or getpass.getuser()),
        rows_per_worker=settings.training_rows_per_worker,
        threads=settings.threads,
        champions=_champions(settings, [plan.segment for plan in plans]),
    )
    return SegmentWork(tuple(plans), tuple(small), runs)


def _last_training(workspace: Workspace) -> StepRecord:
    record = last_record(workspace, TRAINING)
    if record is None or not workspace.unseen.is_file() or not workspace.frame.is_file():
        raise ContractBroken(
            f"{workspace.home} has no pooled model for segments to go on from; run `jinkong train` first."
        )
    return record


def _frame(workspace: Workspace, record: StepRecord, model: ScoringModel) -> CreditFrame:
    facts = record.facts
    trained, tested = (
        tuple(datetime.fromisoformat(text) for text in facts[name]) for name in ("train_instants", "test_instants")
    )
    split = Split(facts["split"], trained, tested)
    frame = CreditFrame(pl.read_parquet(workspace.frame), model.features, split)
    known = pl.read_parquet(workspace.unseen)
    if len(known) != len(frame.fold("train")):
        raise ContractBroken(
            f"{workspace.frame} is not what the last model was trained on; run `jinkong train --again` first."
        )
    return frame


def _champions(settings: Settings, segments: Sequence[Segment]) -> dict[str, tuple[str, ScoringModel]]:
    found: dict[str, tuple[str, ScoringModel]] = {}
    for segment in segments:
        incumbent = incumbent_of(settings, segment.model_name)
        if incumbent is not None:
            found[segment.model_name] = (incumbent.version, incumbent.model)
    return found


def _trained(
    plan: SegmentPlan,
    candidate: Candidate,
    pooled: Pooled,
    registered: RegisteredModel,
    report: str,
) -> TrainedSegment:
    validation, beside = candidate.validation, candidate.validation.challengers[0]
    return TrainedSegment(
        segment=plan.segment,
        training_rows=validation.fit.rows,
        training_defaults=round(validation.fit.rows * validation.fit.event_rate),
        test_rows=validation.test.rows,
        trees=candidate.model.booster.num_trees() - pooled.model.booster.num_trees(),
        default_rate=plan.default_rate,
        gini=validation.test.gini,
        pooled_gini=beside.test.gini,
        p_value=beside.p_value,
        may_become_champion=validation.may_become_champion,
        registered=registered,
        report=report,
    )

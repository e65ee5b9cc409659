"""Job: from defaults and what was recovered to models of loss and exposure, and the expected loss of the portfolio."""

import getpass
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from features import open_store, point_in_time_frame, read_manifest, snapshot_instants
from group.settings import Settings
from pipelines.jobs.features import built_features
from pipelines.jobs.training import keep_report
from pipelines.progress import Reporter, as_steps
from pipelines.workspace import Workspace
from training import MODEL_NAME, Origin, RegisteredModel, latest_candidate, matrix, register_version, report_page
from training.amounts import AmountCandidate
from training.loss_portfolio import LONGEST_MONTHS, LossModels, portfolio_losses, running_loans, time_to_default
from training.losses import exposure_cases, loss_cases, train_exposure_candidate, train_loss_candidate
from training.term_structure import YEAR, cumulative_pd, estimated_baseline


@dataclass(frozen=True)
class TrainedLosses:
    """Both models in the registry, and what the portfolio is expected to lose.

    ``losses`` has ``legal_entity, loans, exposure, probability_of_default, lost_share, expected_loss, lifetime_loss``
    (means weighted by exposure), a company a row; ``pd_by_year`` the mean PD of the loans' customers up to the end of
    each year. Both are None where there is no PD model yet.
    """

    candidates: tuple[AmountCandidate, AmountCandidate]
    registered: tuple[RegisteredModel, RegisteredModel]
    reports: tuple[str, str]
    as_of: datetime
    pd_version: str | None
    losses: pl.DataFrame | None
    pd_by_year: tuple[float, ...] | None


def train_losses(settings: Settings, reporter: Reporter, *, trained_by: str | None = None) -> TrainedLosses:
    """Train, judge and register both models; with the PD model trained last, say what the portfolio will lose.

    Raises:
        ContractBroken: no features were built.
        TooFewDefaults: fewer than 100 defaults can be followed, or there are no repayments or loans.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    built = built_features(workspace)
    origin = Origin(built.facts["source"], trained_by or getpass.getuser())
    as_of = datetime.fromisoformat(built.facts["last_instant"])
    with reporter.bar("defaults, and what came of them", None):
        lost = loss_cases(workspace.canonical, read_manifest(workspace.data).observed_until)
        owed = exposure_cases(workspace.canonical)
    with reporter.bar("loss and exposure, and judging them", 2.0) as advance:
        step = as_steps(advance)
        loss = train_loss_candidate(lost, origin, threads=settings.threads, progress=step)
        exposure = train_exposure_candidate(
            owed, origin, threads=settings.threads, progress=lambda share: step(1 + share)
        )  # fmt: skip
    with reporter.bar("registering in MLflow", None):
        registered = (_registered(settings, loss, origin), _registered(settings, exposure, origin))
        reports = (_page(settings, registered[0]), _page(settings, registered[1]))
        pd_model = latest_candidate(settings, MODEL_NAME)
    losses, by_year = None, None
    if pd_model is not None:
        with reporter.bar("expected loss of the portfolio", None):
            models = LossModels(loss.model, exposure.model)
            losses, by_year = _portfolio(settings, workspace, pd_model, models, as_of)
    version = pd_model.version if pd_model else None
    return TrainedLosses((loss, exposure), registered, reports, as_of, version, losses, by_year)


def _registered(settings: Settings, candidate: AmountCandidate, origin: Origin) -> RegisteredModel:
    return register_version(candidate.registration(), settings, source=origin.source)


def _page(settings: Settings, registered: RegisteredModel) -> str:
    return keep_report(Workspace.of(settings), registered, report_page(registered, settings))


def _portfolio(
    settings: Settings, workspace: Workspace, pd_model: RegisteredModel, models: LossModels, as_of: datetime
) -> tuple[pl.DataFrame, tuple[float, ...]]:
    loans = running_loans(workspace.canonical, as_of)
    parties = loans.select("legal_entity", "party_id").unique(maintain_order=True)
    known = point_in_time_frame(open_store(settings), parties.with_columns(event_timestamp=pl.lit(as_of)))
    scored = parties.with_columns(
        probability_of_default=pl.Series(pd_model.model.probability(matrix(known, pd_model.model.features)))
    )
    months, defaulted = time_to_default(workspace.canonical, snapshot_instants(workspace.canonical)[0])
    baseline = estimated_baseline(months, defaulted, LONGEST_MONTHS)
    rows = portfolio_losses(loans, scored, models, baseline)
    weighted = [
        ((pl.col(name) * pl.col("exposure")).sum() / pl.col("exposure").sum()).alias(name)
        for name in ("probability_of_default", "lost_share")
    ]
    sums = [pl.col(name).sum() for name in ("exposure", "expected_loss", "lifetime_loss")]
    losses = rows.group_by("legal_entity").agg(pl.len().alias("loans"), *weighted, *sums).sort("legal_entity")
    curve = cumulative_pd(rows["probability_of_default"].to_numpy(), baseline).mean(axis=0)
    return losses, tuple(float(curve[month - 1]) for month in range(YEAR, LONGEST_MONTHS + 1, YEAR))

"""Job: a model of all who apply, with what bias each way of inferring the declined leaves."""

import getpass
from dataclasses import dataclass

import polars as pl

from features import open_store, read_manifest
from group.settings import Settings
from pipelines.jobs.features import built_features
from pipelines.jobs.training import keep_report
from pipelines.progress import Reporter, as_steps
from pipelines.workspace import Workspace
from training import Candidate, LocalGrowth, Origin, RegisteredModel, register, report_page
from training.applications import ApplicationFrame, application_frame
from training.reject_inference import DeclinedTruth, Method, RejectBias, train_application_candidate


@dataclass(frozen=True)
class TrainedApplications:
    """The model in the registry, and the biases of all ways."""

    candidate: Candidate
    registered: RegisteredModel
    report: str
    granted: int
    declined: int
    biases: tuple[RejectBias, ...]


def train_applications(
    settings: Settings, reporter: Reporter, method: Method, prudence: float, *, trained_by: str | None = None
) -> TrainedApplications:
    """Train each way, judge and register the one that is asked for.

    Raises:
        ContractBroken: no features were built.
        TooFewDefaults: too few applications defaulted or were declined.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    built = built_features(workspace)
    origin = Origin(built.facts["source"], trained_by or getpass.getuser())
    manifest = read_manifest(workspace.data)
    with reporter.bar("applicants as they were known", None):
        frame = application_frame(
            open_store(settings), workspace.canonical, manifest.horizon_months, manifest.observed_until
        )
    with reporter.bar("each way, and judging the chosen one", 1.0) as advance:
        candidate, biases = train_application_candidate(
            frame, origin, method, prudence, threads=settings.threads, growth=LocalGrowth(),
            truth=_truth(workspace, frame), progress=as_steps(advance),
        )  # fmt: skip
    with reporter.bar("registering in MLflow", None):
        registered = register(candidate, settings, source=origin.source)
        report = keep_report(workspace, registered, report_page(registered, settings))
    return TrainedApplications(candidate, registered, report, len(frame.granted), len(frame.declined), biases)


def _truth(workspace: Workspace, frame: ApplicationFrame) -> DeclinedTruth | None:
    folder = workspace.truth / "declined"
    if not folder.is_dir():
        return None
    keys = ["legal_entity", "customer_id", "application_id"]
    known = frame.declined.select(keys).join(
        pl.read_parquet(folder / "*.parquet"), on=keys, how="left", maintain_order="left"
    )
    return DeclinedTruth(
        known["probability_of_default_12m"].to_numpy(), known["would_default_12m"].cast(pl.Float64).to_numpy()
    )

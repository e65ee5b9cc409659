"""Job: a model of any flat table, trained, validated, registered."""

import getpass
from dataclasses import dataclass

from group.settings import Settings
from pipelines.jobs.training import incumbent_of, keep_report
from pipelines.jobs.tuning import tune_table
from pipelines.progress import Reporter, as_steps
from pipelines.workspace import Workspace
from training import (
    Candidate,
    LocalGrowth,
    RayGrowth,
    RegisteredModel,
    ray_session,
    register,
    report_page,
)
from training.growth import Growth
from training.table import (
    TableFrame,
    TableRequest,
    model_name,
    read_training_table,
    table_parameters,
    train_table_candidate,
)


@dataclass(frozen=True)
class TrainedTable:
    """What came of it, and where its report is."""

    candidate: Candidate
    registered: RegisteredModel
    report: str


def read_table_for(request: TableRequest, reporter: Reporter) -> TableFrame:
    """Read the file; how each column was read is in the frame.

    Raises:
        UnreadableFile: it is no table.
        UnusableTable: it cannot be trained on as asked.
    """
    with reporter.bar(f"reading {request.path.name}", None):
        return read_training_table(request)


def train_table(
    settings: Settings,
    frame: TableFrame,
    request: TableRequest,
    reporter: Reporter,
    *,
    name: str | None = None,
    trained_by: str | None = None,
    tune_minutes: float = 0.0,
    resume: bool = False,
) -> TrainedTable:
    """Train on a table that was read, and register the model with its report.

    With ``tune_minutes``, parameters are searched for that long first; ``resume`` goes on with a search that was
    stopped.

    It grows in this process, or on Ray where the settings name a cluster or several workers.

    Raises:
        RegistryUnavailable: MLflow does not answer.
    """
    called = model_name(request, name)
    workspace = Workspace.of(settings)
    with reporter.bar("asking the registry", None):
        rival = incumbent_of(settings, called)
    parameters = table_parameters(frame)
    if tune_minutes:
        parameters = tune_table(settings, called, frame, reporter, tune_minutes, resume=resume).best
    by = trained_by or getpass.getuser()

    def trained(growth: Growth) -> Candidate:
        with reporter.bar("training, and validating", 1.0) as advance:
            return train_table_candidate(
                frame, request, called, parameters, threads=settings.threads, growth=growth, trained_by=by,
                champion=(rival.version, rival.model) if rival else None, progress=as_steps(advance),
            )  # fmt: skip

    if settings.ray_address or settings.training_workers > 1:
        with ray_session(settings):
            candidate = trained(RayGrowth(settings.training_workers))
    else:
        candidate = trained(LocalGrowth())
    with reporter.bar("registering in MLflow", None):
        registered = register(candidate, settings, source=request.path.name)
        report = keep_report(workspace, registered, report_page(registered, settings))
    return TrainedTable(candidate, registered, report)

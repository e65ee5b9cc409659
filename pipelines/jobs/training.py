"""Job: from features to a credit candidate in the registry, with all that it is judged by."""

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from features import open_store, read_manifest, risk_directions, service_features, snapshot_instants
from group.settings import Settings
from pipelines.jobs.features import built_features
from pipelines.jobs.tuning import chosen_parameters, tune_credit
from pipelines.progress import Reporter, as_steps
from pipelines.steps import TRAINING, StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace
from training import (
    MODEL_NAME,
    BoosterParameters,
    Candidate,
    CreditFrame,
    ModelTampered,
    NoChampion,
    Origin,
    RayGrowth,
    RegisteredModel,
    RegistryUnavailable,
    TrainingError,
    champion,
    credit_frame,
    cross_validated_auc,
    labels,
    matrix,
    model_version,
    ray_session,
    register,
    report_page,
    train_credit_candidate,
)

CROSS_VALIDATION_TREES: Final = 300


class CandidateRejected(TrainingError):
    """A model was trained and registered, but does not meet the hard limits of a champion."""


def train_credit(
    settings: Settings,
    reporter: Reporter,
    *,
    again: bool = False,
    trained_by: str | None = None,
    tune_minutes: float = 0.0,
    resume: bool = False,
) -> StepRecord:
    """Train on Ray, validate, and register; who may be champion is somebody else's decision (``training.approve``).

    A model that was trained from the same inputs before is left as it is.

    The facts: the performance in training and on the test, the verdicts, the split, the model's version, where its
    report is, and, where one instant is all there is, the AUC of each fold of a cross-validation.

    Args:
        settings: where everything is.
        reporter: is told how far it is.
        again: train even if nothing has changed.
        trained_by: on record as who trained; whoever runs this if None.
        tune_minutes: search for parameters that long first, and keep them for later trainings; 0 for no search.
        resume: go on with a search that was stopped.

    Raises:
        CandidateRejected: the candidate is in the registry, but cannot become champion.
        ContractBroken: no features were built.
        TooFewDefaults: the data do not suffice.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    built = built_features(workspace)
    if tune_minutes:
        frame = _frame(settings, workspace, reporter)
        tune_credit(
            settings, frame, risk_directions(list(frame.features)), reporter, tune_minutes, resume=resume
        )  # fmt: skip
    parameters = chosen_parameters(workspace)
    wanted = fingerprint(
        built.fingerprint, parameters, settings.training_workers, code=("training", "features", "group")
    )
    # Before the work, so that a registry that is away is not found out about after it.
    with reporter.bar("asking the registry", None):
        incumbent = incumbent_of(settings, MODEL_NAME)

    def work() -> dict[str, Any]:
        frame = _frame(settings, workspace, reporter)
        # A champion of another data set is no measure for this one.
        rival = incumbent if incumbent is not None and incumbent.source == built.facts["source"] else None
        with ray_session(settings):
            with reporter.bar("training on Ray, and validating", 1.0) as advance:
                candidate = train_credit_candidate(
                    frame,
                    parameters,
                    Origin(built.facts["source"], trained_by or getpass.getuser()),
                    threads=settings.threads,
                    growth=RayGrowth(settings.training_workers),
                    champion=(rival.version, rival.model) if rival else None,
                    progress=as_steps(advance),
                )
            folds = _cross_validation(frame, parameters, reporter)
        candidate.test.write_parquet(workspace.test_pd)
        if candidate.unseen is not None:
            candidate.unseen.write_parquet(workspace.unseen)
        with reporter.bar("registering in MLflow", None):
            registered = register(candidate, settings, source=built.facts["source"])
            page = keep_report(workspace, registered, report_page(registered, settings))
        if not candidate.validation.may_become_champion:
            reasons = "; ".join(map(str, candidate.validation.unmet))
            raise CandidateRejected(
                f"Version {registered.version} of '{registered.name}' was registered, but cannot become champion: "
                f"{reasons}. Its report: {page}"
            )
        return _facts(frame, candidate, registered, folds) | {"report": page}

    def still_there() -> bool:
        done = last_record(workspace, TRAINING)
        return done is not None and workspace.test_pd.is_file() and is_registered(done.facts["model"], settings)

    return run_step(workspace, TRAINING, wanted, work, still_there=still_there, again=again)


def keep_report(workspace: Workspace, registered: RegisteredModel, page: str) -> str:
    """Write a version's report below the home folder, where people look for it; return where."""
    path = workspace.reports / "models" / f"{registered.name}-v{registered.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)
    return str(path)


def is_registered(model: Mapping[str, str], settings: Settings) -> bool:
    """Whether the registry still has a model of a step's facts, as it was."""
    try:
        return model_version(model["version"], settings, model["name"]).sha256 == model["sha256"]
    except (RegistryUnavailable, ModelTampered):
        return False


def incumbent_of(settings: Settings, name: str) -> RegisteredModel | None:
    """The champion that a new version would replace; None if there is none that can be loaded."""
    try:
        return champion(settings, name)
    except (NoChampion, ModelTampered):
        return None


def _frame(settings: Settings, workspace: Workspace, reporter: Reporter) -> CreditFrame:
    manifest = read_manifest(workspace.data)
    store = open_store(settings)
    with reporter.bar("point-in-time join", None):
        frame = credit_frame(
            store,
            workspace.canonical,
            snapshot_instants(workspace.canonical),
            service_features(store),
            horizon_months=manifest.horizon_months,
            observed_until=manifest.observed_until,
        )
    workspace.training.mkdir(parents=True, exist_ok=True)
    frame.rows.write_parquet(workspace.frame)
    return frame


def _cross_validation(frame: CreditFrame, parameters: BoosterParameters, reporter: Reporter) -> list[float] | None:
    """Where there is one instant, every party is one row, and the mean over folds is the steadier figure."""
    if frame.split.kind != "out_of_sample":
        return None
    with reporter.bar("cross-validation on Ray", None):
        return cross_validated_auc(
            matrix(frame.rows, frame.features),
            labels(frame.rows),
            risk_directions(list(frame.features)),
            parameters,
            trees=CROSS_VALIDATION_TREES,
        )


def _facts(
    frame: CreditFrame, candidate: Candidate, registered: RegisteredModel, folds: list[float] | None
) -> dict[str, Any]:
    validation = candidate.validation
    return {
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        "run_id": registered.run_id,
        "split": frame.split.kind,
        "train_instants": [instant.isoformat() for instant in frame.split.train_instants],
        "test_instants": [instant.isoformat() for instant in frame.split.test_instants],
        "features": len(frame.features),
        "trees": candidate.model.booster.num_trees(),
        "train": asdict(validation.fit),
        "test": asdict(validation.test),
        "limits": [asdict(verdict) for verdict in validation.verdicts],
        "challengers": [
            {"name": one.name, "gini": one.test.gini, "behind_by": one.gini_difference}
            for one in validation.challengers
        ],
        "cross_validated_auc": folds,
    }

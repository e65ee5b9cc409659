"""Job: from features to a champion in the registry, with the cross-validation where there is no later period."""

import getpass
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final

from features import ContractBroken, open_store, read_manifest, risk_directions, service_features, snapshot_instants
from group.audit import GROUP, AuditEvent, append
from group.database import migrate, open_database
from group.settings import Settings
from pipelines.jobs import features
from pipelines.progress import Reporter
from pipelines.steps import StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace
from training import (
    BoosterParameters,
    Candidate,
    CreditFrame,
    ModelTampered,
    NoChampion,
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
    promote,
    ray_session,
    register,
    train_candidate,
)

STEP = "training"
MODEL_PROMOTED: Final = "model.promoted"

CROSS_VALIDATION_TREES: Final = 300


class CandidateRejected(TrainingError):
    """A model was trained and registered, but does not meet the requirements for a champion."""


def train_champion(settings: Settings, reporter: Reporter, *, again: bool = False) -> StepRecord:
    """Train on Ray, validate, register, and promote the candidate if it meets every requirement.

    A model that was trained from the same inputs before is left as it is, and so is the champion: who has put the
    alias on another version by hand meant it.

    The facts: the performance in training and on the test, the split, the model's version, the champion's version,
    and, where one instant is all there is, the AUC of each fold of a cross-validation.

    Raises:
        CandidateRejected: the candidate is in the registry, but did not become champion.
        ContractBroken: no features were built.
        TooFewDefaults: the data do not suffice.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    built = last_record(workspace, features.STEP)
    if built is None:
        raise ContractBroken(f"{workspace.home} has no features; run `jinkong features` first.")
    parameters = BoosterParameters()
    wanted = fingerprint(
        built.fingerprint, parameters, settings.training_workers, code=("training", "features", "group")
    )
    # Before the work, so that a registry that is away is not found out about after it.
    with reporter.bar("asking the registry", None):
        incumbent = _incumbent(settings)

    def work() -> dict[str, Any]:
        frame = _frame(settings, workspace, reporter)
        # A champion of another data set is no measure for this one.
        rival = incumbent if incumbent is not None and incumbent.source == built.facts["source"] else None
        with ray_session(settings):
            with reporter.bar("training on Ray", None):
                candidate = train_candidate(
                    frame,
                    parameters,
                    threads=settings.threads,
                    growth=RayGrowth(settings.training_workers, workspace.scratch),
                    champion=rival.model if rival else None,
                )
            folds = _cross_validation(frame, parameters, reporter)
        candidate.test_pd.write_parquet(workspace.test_pd)
        with reporter.bar("registering in MLflow", None):
            registered = register(candidate, settings, source=built.facts["source"])
        if not candidate.validation.may_become_champion:
            reasons = "; ".join(map(str, candidate.validation.unmet))
            raise CandidateRejected(
                f"Version {registered.version} of '{registered.name}' was registered but is not champion: {reasons}."
            )
        _promote(registered, candidate, settings)
        return _facts(frame, candidate, registered, folds)

    def still_there() -> bool:
        # Without a champion, or with one whose files were changed, there is nothing to serve: train anew.
        done = last_record(workspace, STEP)
        if done is None or incumbent is None or not workspace.test_pd.is_file():
            return False
        return _is_registered(done.facts["model"], incumbent, settings)

    record = run_step(workspace, STEP, wanted, work, still_there=still_there, again=again)
    in_service = incumbent.version if record.reused and incumbent else record.facts["model"]["version"]
    return replace(record, facts=record.facts | {"champion": in_service})


def _is_registered(model: Mapping[str, str], incumbent: RegisteredModel, settings: Settings) -> bool:
    if incumbent.sha256 == model["sha256"]:
        return True
    try:
        return model_version(model["version"], settings).sha256 == model["sha256"]
    except (RegistryUnavailable, ModelTampered):
        return False


def _incumbent(settings: Settings) -> RegisteredModel | None:
    try:
        return champion(settings)
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


def _promote(registered: RegisteredModel, candidate: Candidate, settings: Settings) -> None:
    engine = open_database(settings.state_url)
    migrate(engine)
    payload = {
        "sha256": registered.sha256,
        "run_id": registered.run_id,
        "data_sha256": candidate.data_hash,
        "test_gini": candidate.validation.test.gini,
        "requirements": {requirement.name: requirement.figure for requirement in candidate.validation.requirements},
    }
    subject = f"{registered.name}/{registered.version}"
    with engine.begin() as connection:
        append(connection, AuditEvent(GROUP, getpass.getuser(), MODEL_PROMOTED, subject, payload), datetime.now(UTC))
        # Last within the transaction: if the registry refuses, nothing is recorded as promoted.
        promote(registered, settings)
    engine.dispose()


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
        "score_psi": validation.score_psi,
        "requirements": [asdict(requirement) for requirement in validation.requirements],
        "cross_validated_auc": folds,
    }

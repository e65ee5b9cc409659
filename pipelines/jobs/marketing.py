"""Job: from contacts and payments to the models of marketing: response, uplift, customer value."""

import getpass
from collections.abc import Mapping
from typing import Any

from features import open_store, read_manifest, snapshot_instants
from group.settings import Settings
from pipelines.jobs.features import built_features
from pipelines.jobs.training import incumbent_of, is_registered, keep_report
from pipelines.progress import Reporter, as_steps
from pipelines.steps import MARKETING, StepRecord, fingerprint, last_record, run_step
from pipelines.workspace import Workspace
from training import LocalGrowth, Origin, RegisteredModel, register, register_version, report_page
from training.marketing import (
    RESPONSE_MODEL,
    train_response_candidate,
    train_uplift_candidate,
    train_value_candidate,
    value_frame,
)
from training.uplift import UpliftFrame, uplift_frame
from training.validation import Verdict


def train_marketing(
    settings: Settings, reporter: Reporter, *, again: bool = False, trained_by: str | None = None
) -> StepRecord:
    """Train, judge and register a model of who answers, whom a contact moves, and what a customer brings.

    Models that were trained from the same inputs before are left as they are. One that misses a hard limit is
    registered all the same, and cannot become champion.

    The facts, by name of the model: its version and hash, what was measured, the limits, where its report is.

    Raises:
        ContractBroken: no features were built.
        TooFewContacts: nobody was held out, or too few bought.
        TooFewPayments: nothing tells what customers bring in.
        RegistryUnavailable: MLflow does not answer.
    """
    workspace = Workspace.of(settings)
    built = built_features(workspace)
    wanted = fingerprint(built.fingerprint, code=("training", "features", "group"))
    origin = Origin(built.facts["source"], trained_by or getpass.getuser())

    def work() -> dict[str, Any]:
        store = open_store(settings)
        with reporter.bar("contacts as they were known", None):
            contacts = uplift_frame(store, workspace.canonical)
        with reporter.bar("payments of twelve months", None):
            manifest = read_manifest(workspace.data)
            instants = snapshot_instants(workspace.canonical)
            payments = value_frame(store, workspace.canonical, instants, manifest.observed_until)
        made = [_response(settings, contacts, origin, reporter)]
        with reporter.bar("uplift, and judging it", 1.0) as advance:
            uplift = train_uplift_candidate(contacts, origin, threads=settings.threads, progress=as_steps(advance))
        with reporter.bar("customer value, and judging it", 1.0) as advance:
            value = train_value_candidate(payments, origin, threads=settings.threads, progress=as_steps(advance))
        with reporter.bar("registering in MLflow", None):
            for candidate in (uplift, value):
                registered = register_version(candidate.registration(), settings, source=origin.source)
                figures, verdicts = candidate.evidence.figures, candidate.evidence.verdicts
                made.append(_facts(settings, registered, figures, verdicts, candidate.model.method))
        return {"models": {one["model"]["name"]: one for one in made}}

    def still_there() -> bool:
        done = last_record(workspace, MARKETING)
        return done is not None and all(
            is_registered(one["model"], settings) for one in done.facts["models"].values()
        )  # fmt: skip

    return run_step(workspace, MARKETING, wanted, work, still_there=still_there, again=again)


def _response(settings: Settings, contacts: UpliftFrame, origin: Origin, reporter: Reporter) -> dict[str, Any]:
    workspace = Workspace.of(settings)
    rival = incumbent_of(settings, RESPONSE_MODEL)
    if rival is not None and rival.source != origin.source:
        rival = None
    with reporter.bar("response, and judging it", 1.0) as advance:
        candidate = train_response_candidate(
            contacts, workspace.canonical, origin, threads=settings.threads, growth=LocalGrowth(),
            champion=(rival.version, rival.model) if rival else None, progress=as_steps(advance),
        )  # fmt: skip
        registered = register(candidate, settings, source=origin.source)
    trees = f"LightGBM, {candidate.model.booster.num_trees()} trees"
    validation = candidate.validation
    return _facts(settings, registered, validation.figures, validation.verdicts, trees)


def _facts(
    settings: Settings,
    registered: RegisteredModel,
    figures: Mapping[str, float],
    verdicts: tuple[Verdict, ...],
    method: str,
) -> dict[str, Any]:
    page = keep_report(Workspace.of(settings), registered, report_page(registered, settings))
    return {
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        "figures": dict(figures),
        "method": method,
        "may_become_champion": all(verdict.met for verdict in verdicts if verdict.hard),
        "unmet": [str(verdict) for verdict in verdicts if not verdict.met],
        "report": page,
    }

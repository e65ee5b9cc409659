"""Job: search for the parameters of a model's trees within a budget of minutes, and keep what was chosen."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from group.files import write_text_whole
from group.settings import Settings
from pipelines.progress import Reporter, as_steps
from pipelines.workspace import Workspace
from training import BoosterParameters, CreditFrame, labels, matrix, ray_session, severities
from training.growth import TrainingRows, Vector
from training.table import TableFrame, table_parameters
from training.table.candidate import training_rows
from training.tuning import Tuning, time_folds, tune_parameters


def chosen_parameters(workspace: Workspace) -> BoosterParameters:
    """What the last search of this home chose for the credit model; the defaults before any."""
    if not workspace.parameters.is_file():
        return BoosterParameters()
    return BoosterParameters(**json.loads(workspace.parameters.read_text())["parameters"])


def tune_credit(
    settings: Settings,
    frame: CreditFrame,
    directions: Sequence[int],
    reporter: Reporter,
    minutes: float,
    *,
    resume: bool,
) -> Tuning:
    """Search on the training fold of the credit frame, keep the best, and return all that was tried.

    Raises:
        NothingTried: nothing ended within the budget.
    """
    workspace = Workspace.of(settings)
    train = frame.fold("train")
    party_folds = train["party_fold"].to_numpy()
    training = TrainingRows(matrix(train, frame.features), labels(train), party_folds, severities(train))
    order = train["event_timestamp"].dt.epoch("s").to_numpy().astype(np.float64)
    found = _search(settings, "credit_pd", training, order, directions, chosen_parameters(workspace), reporter, minutes,
                    by_party=True, resume=resume)  # fmt: skip
    kept: dict[str, Any] = {
        "parameters": asdict(found.best),
        "tried": [{"loss": one.loss, "folds": one.folds, "parameters": asdict(one.parameters)} for one in found.tried],
    }
    workspace.training.mkdir(parents=True, exist_ok=True)
    write_text_whole(workspace.parameters, json.dumps(kept, indent=1))
    return found


def tune_table(
    settings: Settings, name: str, frame: TableFrame, reporter: Reporter, minutes: float, *, resume: bool
) -> Tuning:
    """Search on a table's rows that are not its test.

    Raises:
        NothingTried: nothing ended within the budget.
    """
    fit = ~frame.test
    training = training_rows(frame, fit)
    order = frame.order[fit]
    return _search(settings, name, training, order, frame.directions, table_parameters(frame), reporter, minutes,
                   by_party=False, resume=resume)  # fmt: skip


def _search(
    settings: Settings,
    name: str,
    training: TrainingRows,
    order: Vector,
    directions: Sequence[int],
    start: BoosterParameters,
    reporter: Reporter,
    minutes: float,
    *,
    by_party: bool,
    resume: bool,
) -> Tuning:
    folds = time_folds(order, training.folds if by_party else None)
    with ray_session(settings), reporter.bar(f"searching parameters for {minutes:g} minutes", 1.0) as advance:
        told = as_steps(advance)
        return tune_parameters(
            training, folds, start, directions, minutes=minutes, folder=Workspace.of(settings).tuning / name,
            concurrent=settings.threads, resume=resume, progress=lambda share, _best: told(share),
        )  # fmt: skip

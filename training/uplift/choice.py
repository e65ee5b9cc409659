"""Which learner of uplift is used: the one with the best Qini on campaigns after those it was fitted on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.amounts import AmountModel
from training.uplift.frame import UpliftFrame
from training.uplift.learners import LEARNERS, Experiment
from training.uplift.qini import qini


@dataclass(frozen=True)
class UpliftChoice:
    """The learner that was chosen, its model fitted again on all campaigns before the test, and every learner's Qini.

    ``chosen_by`` is on the campaigns that were chosen by, ``test`` on those after them, of the chosen learner.
    """

    learner: str
    model: AmountModel
    chosen_by: dict[str, float]
    test: float


def chosen_uplift_model(
    frame: UpliftFrame, threads: int, progress: Callable[[float], None] = lambda _share: None
) -> UpliftChoice:
    """Fit every learner on the earlier campaigns, choose on the next, judge on the latest."""
    fit, choice, test = frame.part("fit"), frame.part("choice"), frame.part("test")
    found: dict[str, float] = {}
    for number, (name, learner) in enumerate(LEARNERS.items()):
        model = learner(_experiment(fit), threads)
        found[name] = qini(model.amount(choice.matrix), choice.took_up, choice.treated)
        progress((number + 1) / (len(LEARNERS) + 1))
    best = max(found, key=lambda name: (found[name], name))
    model = LEARNERS[best](_experiment(fit, choice), threads)
    progress(1.0)
    return UpliftChoice(best, model, found, qini(model.amount(test.matrix), test.took_up, test.treated))


def _experiment(*parts: UpliftFrame) -> Experiment:
    return Experiment(
        features=parts[0].features,
        rows=np.concatenate([part.matrix for part in parts]),
        treated=np.concatenate([part.treated for part in parts]),
        took_up=np.concatenate([part.took_up for part in parts]),
        folds=np.concatenate([part.folds for part in parts]),
    )

"""What a contact adds to the probability that a customer buys."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from training.amounts import AmountCandidate
from training.credit import Origin
from training.frames import data_hash
from training.provenance import git_commit, texts_sha256
from training.uplift import UpliftFrame, chosen_uplift_model, uplift_evidence
from training.validation.report import ModelCard

UPLIFT_MODEL: Final = "uplift"

_EXAMPLE_ROWS: Final = 3
_SEED: Final = 20_260_101


def train_uplift_candidate(
    frame: UpliftFrame,
    origin: Origin,
    *,
    threads: int,
    progress: Callable[[float], None] = lambda _share: None,
) -> AmountCandidate:
    """Fit every learner, choose by the campaigns before the latest, judge on the latest."""
    choice = chosen_uplift_model(frame, threads, lambda share: progress(0.8 * share))
    test = frame.part("test")
    evidence = uplift_evidence(
        choice.model.amount(test.matrix), test.took_up, test.treated, learner=choice.learner, chosen_by=choice.chosen_by
    )
    progress(1.0)
    campaigns = {part: frame.part(part).rows["campaign_id"].n_unique() for part in ("fit", "choice", "test")}
    card = ModelCard(
        name=UPLIFT_MODEL,
        task="uplift",
        purpose_en="What a contact adds to the probability that a customer takes the product up.",
        purpose_zh="营销联系使客户接受产品的概率增加多少。",
        data=origin.source,
        target="the product was taken up, by whoever was contacted and by whoever was held out at random",
        population="Customers whom a campaign selected, contacted or held out",
        split=f"by time: {campaigns['fit']} campaigns to fit, {campaigns['choice']} after them to choose a learner by, "
        f"the latest {campaigns['test']} to judge",
        algorithm=f"{choice.model.method}, {choice.model.trees} trees",
        calibration="none: differences of probabilities as they are",
        trained_at=datetime.now(UTC),
        trained_by=origin.trained_by,
        data_sha256=data_hash(frame.rows),
        model_sha256=texts_sha256(*choice.model.to_texts()),
        code=git_commit(),
        seed=_SEED,
        not_for=("customers of a kind that no campaign ever selected",),
    )
    example = frame.rows.select(frame.features).head(_EXAMPLE_ROWS).to_pandas()
    return AmountCandidate(choice.model, evidence, card, example)

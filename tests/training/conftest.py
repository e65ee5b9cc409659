"""A candidate that the tests of the registry and of approvals share."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from training import BoosterParameters, Candidate, CreditFrame, LocalGrowth, Origin, train_credit_candidate
from training.frames import Split

NAMES = ("age_years", "income_per_month", "inquiries_latest_360d")


@pytest.fixture(scope="session")
def candidate() -> Candidate:
    """A credit candidate of three features, trained by Alice Wang."""
    rng = np.random.default_rng(4)
    count = 3_000
    rows = pl.DataFrame(rng.normal(size=(count, 3)), schema=list(NAMES))
    log_odds = -1.5 - 1.2 * rows["income_per_month"].to_numpy() + 0.9 * rows["inquiries_latest_360d"].to_numpy()
    instant = datetime(2025, 1, 1, tzinfo=UTC)
    defaulted = rng.random(count) < 1 / (1 + np.exp(-log_odds))
    frame = pl.DataFrame(
        {
            "legal_entity": ["credit"] * count,
            "party_id": [f"P{n}" for n in range(count)],
            "event_timestamp": [instant] * count,
            "defaulted": defaulted,
            "severity": defaulted.astype(np.float64),
            "fold": np.where(np.arange(count) % 4 == 0, "test", "train"),
            "party_fold": np.arange(count) % 5,
            "kind": "person",
            "sex": np.where(np.arange(count) % 2, "female", "male"),
            "age_band": "30 to 44",
            "region": "44",
            "product": "instalment_loan",
        }
    ).hstack(rows)
    split = Split("out_of_sample", (instant,), (instant,))
    quick = BoosterParameters(learning_rate=0.1, max_trees=60)
    return train_credit_candidate(
        CreditFrame(frame, NAMES, split), quick, Origin("a test", "Alice Wang"), threads=2, growth=LocalGrowth()
    )  # fmt: skip

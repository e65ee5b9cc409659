"""How near a model comes to what could be known: the simulation's own PDs on the same test rows."""

from dataclasses import dataclass

import polars as pl

from features import query
from pipelines.workspace import Workspace
from training import performance


@dataclass(frozen=True, slots=True)
class OracleComparison:
    """The test Gini of the oracle and of the model on the rows whose truth is known, and the share reached."""

    rows: int
    oracle_auc: float
    oracle_gini: float
    model_gini: float

    @property
    def share(self) -> float:
        """The model's Gini over the oracle's."""
        return self.model_gini / self.oracle_gini


def compare_with_oracle(workspace: Workspace) -> OracleComparison | None:
    """Hold the last training's test PDs against the truth; None if the data set keeps no truth."""
    truth = workspace.truth / "default_probability"
    if not truth.is_dir():
        return None
    rows = query(
        """
        WITH customers AS (
            SELECT legal_entity, customer_id, party_id
            FROM read_parquet($parties)
        )
        SELECT
            any_value(tested.defaulted) AS defaulted,
            any_value(tested.probability) AS probability,
            max(truth.probability_of_default_12m) AS true_pd
        FROM read_parquet($tested) AS tested
        JOIN customers USING (legal_entity, party_id)
        JOIN read_parquet($truth) AS truth USING (legal_entity, customer_id, event_timestamp)
        GROUP BY legal_entity, party_id, event_timestamp
        """,
        {
            "tested": str(workspace.test_pd),
            "parties": f"{workspace.canonical}/parties/*.parquet",
            "truth": f"{truth}/*.parquet",
        },
    )
    labels = rows["defaulted"].cast(pl.Float64).to_numpy()
    oracle = performance(labels, rows["true_pd"].to_numpy())
    model = performance(labels, rows["probability"].to_numpy())
    return OracleComparison(len(rows), oracle.auc, oracle.gini, model.gini)

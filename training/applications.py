"""Applications: those that were granted, with what became of them, and those that were declined."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl
from feast import FeatureStore

from features import point_in_time_frame, query, service_features
from training.errors import TooFewDefaults
from training.frames import PARTY_FOLDS, Split, matrix, party_tickets, products_held, who_they_are
from training.growth import Matrix

_TEST_SHARE: Final = 0.25
_LEAST_DEFAULTS: Final = 50
_LEAST_DECLINED: Final = 50


@dataclass(frozen=True)
class ApplicationFrame:
    """Applications whose applicants were known when they applied.

    ``granted`` has ``legal_entity, party_id, customer_id, application_id, event_timestamp, defaulted, severity, fold,
    party_fold``, who applied (``kind, sex, age_band, region, product``), then ``features``; the latest quarter is the
    test. ``declined`` has the same but for what became of them, and for the fold.
    """

    granted: pl.DataFrame
    declined: pl.DataFrame
    features: tuple[str, ...]
    split: Split

    def declined_rows(self) -> Matrix:
        """Features of the declined, ``(n, k) float64``, NaN for missing."""
        return matrix(self.declined, self.features)


def application_frame(
    store: FeatureStore, canonical: Path, horizon_months: int, observed_until: datetime
) -> ApplicationFrame:
    """Join what was known of each applicant at the moment of applying, through Feast.

    Of granted applications those count whose horizon is over. Applicants of whom nothing was known yet are left out.

    Raises:
        TooFewDefaults: fewer than 50 granted ones defaulted, or fewer than 50 were declined.
    """
    if not any((canonical / "applications").glob("*.parquet")):
        raise TooFewDefaults("There are no applications, so nobody was declined.")
    names = ("applications", "parties", "defaults")
    rows = query(
        _APPLICATIONS_SQL,
        {name: f"{canonical}/{name}/*.parquet" for name in names} | {"horizon": horizon_months},
    )
    features = tuple(service_features(store))
    joined = point_in_time_frame(store, rows)
    known = joined.filter(~pl.all_horizontal(pl.col(name).is_null() for name in features))
    known = known.with_columns(party_fold=pl.Series(party_tickets(known["party_id"]) % PARTY_FOLDS))
    who = who_they_are(canonical, known).with_columns(products_held(canonical, known))
    known = known.hstack(who)
    declined = known.filter(pl.col("outcome") == "declined")
    followed = pl.col("event_timestamp").dt.offset_by(f"{horizon_months}mo") <= observed_until
    granted = known.filter((pl.col("outcome") == "approved") & followed)
    defaults = int(granted["defaulted"].sum())
    if defaults < _LEAST_DEFAULTS or len(declined) < _LEAST_DECLINED:
        raise TooFewDefaults(
            f"{defaults} granted applications defaulted and {len(declined)} were declined, of applicants who were "
            f"known then; {_LEAST_DEFAULTS} of each are needed."
        )
    boundary = granted["event_timestamp"].sort()[int((1 - _TEST_SHARE) * len(granted))]
    fold = pl.when(pl.col("event_timestamp") >= boundary).then(pl.lit("test")).otherwise(pl.lit("train"))
    divided = granted.with_columns(fold=fold, severity=pl.col("defaulted").cast(pl.Float64))
    instants = divided["event_timestamp"].min(), divided["event_timestamp"].max()
    first, last = (at for at in instants if isinstance(at, datetime))
    return ApplicationFrame(divided, declined, features, Split("out_of_time", (first, boundary), (boundary, last)))


_APPLICATIONS_SQL: Final = """
WITH asked AS (
    SELECT applications.legal_entity, parties.party_id, applications.customer_id, applications.application_id,
           applications.event_timestamp, applications.outcome
    FROM read_parquet($applications) AS applications
    JOIN read_parquet($parties) AS parties USING (legal_entity, customer_id)
    WHERE applications.superseded_at IS NULL AND applications.outcome IN ('approved', 'declined')
),
first_default AS (
    SELECT defaults.legal_entity, defaults.customer_id, min(defaults.event_timestamp) AS defaulted_at
    FROM read_parquet($defaults) AS defaults
    WHERE defaults.superseded_at IS NULL
    GROUP BY ALL
)
SELECT
    asked.*,
    coalesce(first_default.defaulted_at <= asked.event_timestamp + to_months($horizon), false) AS defaulted
FROM asked
LEFT JOIN first_default USING (legal_entity, customer_id)
WHERE first_default.defaulted_at IS NULL OR first_default.defaulted_at > asked.event_timestamp
ORDER BY asked.event_timestamp, asked.legal_entity, asked.application_id
"""

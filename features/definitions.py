"""Feast definitions of the catalogue: entities, one feature view a view, and the service that models read."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Float64, String

from features.catalogue import CREDIT_SERVICE, CREDIT_VIEWS, MARKETING_SERVICE, VIEWS, View
from features.windows import ENTITY_COLUMNS

TIME_TO_LIVE: Final = timedelta(days=45)
"""A feature row counts for a month and a half: snapshots are monthly, and one may come late."""

ENTITIES: Final = (
    Entity(
        name="legal_entity",
        join_keys=["legal_entity"],
        value_type=ValueType.STRING,
        description="The company that looks: it sees its own data, and others' where the customer consents",
    ),
    Entity(
        name="party",
        join_keys=["party_id"],
        value_type=ValueType.STRING,
        description="The person or company, one across the group",
    ),
)


def available_views(features: Path) -> list[View]:
    """The views that were computed, in the catalogue's order."""
    return [view for view in VIEWS if any((features / view.name).glob("*.parquet"))]


def feature_views(views: Sequence[View], features: Path) -> list[FeatureView]:
    """Feast's views over the Parquet files that ``features.windows`` wrote."""
    return [_feature_view(view, features.absolute()) for view in views]


def credit_service(views: Sequence[FeatureView]) -> FeatureService:
    """The features of the views that a probability of default may rest on, under one name."""
    chosen = [view for view in views if view.name in CREDIT_VIEWS]
    return FeatureService(name=CREDIT_SERVICE, features=chosen, description="What the credit model reads")


def marketing_service(views: Sequence[FeatureView]) -> FeatureService:
    """The features of all views under one name."""
    return FeatureService(name=MARKETING_SERVICE, features=list(views), description="What marketing models read")


def _feature_view(view: View, features: Path) -> FeatureView:
    keys = [Field(name=key, dtype=String) for key in ENTITY_COLUMNS]
    return FeatureView(
        name=view.name,
        entities=list(ENTITIES),
        ttl=TIME_TO_LIVE,
        schema=[
            *keys,
            *(
                Field(
                    name=feature.name,
                    dtype=Float64,
                    description=feature.description,
                    tags={"unit": feature.unit, "risk": str(feature.risk), "table": view.table},
                )
                for feature in view.features
            ),
        ],
        source=FileSource(
            name=f"{view.name}_files",
            path=f"{features}/{view.name}/*.parquet",
            file_format=ParquetFormat(),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
        online=True,
    )

"""Scores as the audit log has them, as columns: what monitoring looks at. Imports polars, so not for servers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from group.audit import AuditRecord
from serving.batch_record import rows_of
from serving.decisions import PRECREDIT_DECIDED, SCORE_GIVEN, SCORES_GIVEN, row_id
from training.reference import FEATURE

SCORE_ACTIONS: Final = (SCORE_GIVEN, SCORES_GIVEN, PRECREDIT_DECIDED)
"""What records of scores are called."""

_ORIGINS: Final = {SCORE_GIVEN: "single", SCORES_GIVEN: "batch", PRECREDIT_DECIDED: "precredit"}

_COLUMNS: Final[dict[str, pl.DataType]] = {
    "decision_id": pl.String(),
    "scored_at": pl.Datetime("us", "UTC"),
    "legal_entity": pl.String(),
    "party_id": pl.String(),
    "origin": pl.String(),
    "degraded": pl.Boolean(),
    "features_as_of": pl.Datetime("us", "UTC"),
    "probability": pl.Float64(),
    "score": pl.Int64(),
    "grade": pl.String(),
    "reasons": pl.List(pl.String),
    "product_asked": pl.String(),
    "policy": pl.Int64(),
    "eligible": pl.Boolean(),
    "credit_limit": pl.Float64(),
    "rate_per_annum": pl.Float64(),
    "rules_fired": pl.List(pl.String),
}
LOGGED_SCHEMA: Final = pl.Schema(_COLUMNS)
"""A row a score. Those from ``product_asked`` on are of pre-credit alone."""


@dataclass(frozen=True, slots=True, order=True)
class ModelKey:
    """Which model answered, as the record says."""

    name: str
    version: str
    sha256: str


ColumnsOf = Callable[[ModelKey], Sequence[str] | None]
"""Names of the columns that a model reads, in its order; None where nobody knows the model."""


@dataclass
class _Gathered:
    rows: list[dict[str, Any]] = field(default_factory=list)
    features: list[list[Any]] = field(default_factory=list)


def logged_scores(records: Iterable[AuditRecord], columns_of: ColumnsOf) -> dict[ModelKey, pl.DataFrame]:
    """The scores of records by the model that answered: ``LOGGED_SCHEMA``, then ``feature:…`` as the model read them.

    Records of other things are passed over. Of a model that nobody knows, the rows have no features: the log holds
    their values, and their names are the model's.
    """
    found: dict[ModelKey, _Gathered] = defaultdict(_Gathered)
    for record in records:
        if record.action not in SCORE_ACTIONS:
            continue
        content = orjson.loads(record.payload)
        into = found[ModelKey(**content["model"])]
        if record.action == SCORES_GIVEN:
            for number, row in enumerate(rows_of(content)):
                into.rows.append(_common(record, row_id(record.subject, number), row))
                into.features.append(row["features"])
        else:
            party = {"party_id": content["request"].get("party_id")}
            into.rows.append(_common(record, record.subject, content | party) | _offered(content))
            into.features.append(content["features"])
    return {key: _frame(one, columns_of(key)) for key, one in sorted(found.items())}


def _common(record: AuditRecord, decision_id: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "decision_id": decision_id,
        "scored_at": record.recorded_at,
        "legal_entity": record.legal_entity,
        "party_id": row["party_id"],
        "origin": _ORIGINS[record.action],
        "degraded": "degraded" in row,
        "features_as_of": row["features_as_of"],
        "probability": row["probability"],
        "score": row["score"],
        "grade": row["grade"],
        "reasons": [reason["code"] for reason in row["reasons"]],
    }


def _offered(content: dict[str, Any]) -> dict[str, Any]:
    if "decision" not in content:
        return {}
    decision = content["decision"]
    limit = decision["credit_limit"]
    return {
        "product_asked": content["request"]["product"],
        "policy": content["policy"]["version"],
        "eligible": decision["eligible"],
        "credit_limit": None if limit is None else float(limit),
        "rate_per_annum": decision["rate_per_annum"],
        "rules_fired": [code for code, fired in decision["verdicts"].items() if fired],
    }


def _frame(gathered: _Gathered, columns: Sequence[str] | None) -> pl.DataFrame:
    empty = dict.fromkeys(LOGGED_SCHEMA)
    texts = LOGGED_SCHEMA | {"features_as_of": pl.String()}
    rows = pl.DataFrame([empty | row for row in gathered.rows], schema=texts).with_columns(
        pl.col("features_as_of").str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    )
    if columns is None or any(len(values) != len(columns) for values in gathered.features):
        return rows
    seen = [
        _feature(f"{FEATURE}{name}", [values[place] for values in gathered.features])
        for place, name in enumerate(columns)
    ]
    return rows.hstack(seen)


def _feature(name: str, values: list[Any]) -> pl.Series:
    """Numbers as they are, texts where there are any; true and false are 1 and 0, as models read them."""
    if any(isinstance(value, str) for value in values):
        return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    return pl.Series(name, numbers).fill_nan(None)

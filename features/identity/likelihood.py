"""Links by probability: Splink's Fellegi-Sunter model, fitted on the group's own customers without any labels.

Fellegi and Sunter, "A Theory for Record Linkage", JASA 64 (1969): agreement on a column counts by how much more often
it is seen between records of one customer (m) than between those of two (u). Both are estimated from the data: u from
random pairs, m by expectation-maximisation on pairs that agree on something else.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from features.connection import bounded_connection
from features.identity.links import LINK_SCHEMA, Basis
from group.libraries import hushed

ENOUGH_PAIRS: Final = 100
"""Pairs of one phone or one identity token below which a model of a kind of customer is not fitted."""

_RANDOM_PAIRS: Final = 2_000_000
_SEED: Final = 1
_COMMON: Final = 20
"""A name and date that more customers than this share says nothing of who they are."""

_ONE_CHARACTER: Final = 3
"""DuckDB counts bytes, of which a Chinese character has three in UTF-8."""


def probable_links(
    customers: pl.DataFrame, *, least: float, threads: int | None = None, memory_limit: str | None = None
) -> pl.DataFrame:
    """Pairs of customers of one kind that are one with a probability of at least ``least``.

    A kind with too few pairs to fit a model on gives its lookalikes (name and date of birth or phone agree) without a
    probability.

    Returns:
        ``LINK_SCHEMA``, by probability, the surest first.
    """
    found = [pl.DataFrame(schema=LINK_SCHEMA)]
    for kind in ("person", "enterprise"):
        of_kind = customers.filter(pl.col("kind") == kind)
        if _pairs_sharing(of_kind, "phone_token") + _pairs_sharing(of_kind, "identity_token") >= ENOUGH_PAIRS:
            found.append(_predicted(of_kind, kind, least, threads, memory_limit))
        else:
            found.append(_lookalikes(of_kind))
    links = pl.concat(found)
    return links.sort("probability", "left", "right", descending=[True, False, False], nulls_last=True)


def _predicted(
    customers: pl.DataFrame, kind: str, least: float, threads: int | None, memory_limit: str | None
) -> pl.DataFrame:
    # Imported here: it takes a second, which only those who link should wait for.
    from splink import Linker, block_on  # noqa: PLC0415
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    with bounded_connection(threads, memory_limit) as connection, hushed():
        records = DuckDBAPI(connection).register(customers.rename({"row": "unique_id"}).to_arrow())
        linker = Linker(records, _settings(kind), log_level=logging.ERROR)
        training = linker.training
        training.estimate_probability_two_random_records_match(
            [block_on("identity_token"), block_on("phone_token")], recall=0.95
        )
        training.estimate_u_using_random_sampling(max_pairs=_RANDOM_PAIRS, seed=_SEED)
        for agreed in ("birth_or_founding_date", "phone_token"):
            training.estimate_parameters_using_expectation_maximisation(block_on(agreed), record_sample_proportion=1.0)
        found = linker.inference.predict(threshold_match_probability=least, warning_mode="never").as_duckdbpyrelation()
        pairs = pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
    return pairs.select(
        left=pl.min_horizontal("unique_id_l", "unique_id_r"),
        right=pl.max_horizontal("unique_id_l", "unique_id_r"),
        basis=pl.lit(Basis.LIKELIHOOD.value),
        # The last digits hang on the order in which threads add up.
        probability=pl.col("match_probability").round(6),
    ).cast(LINK_SCHEMA)  # fmt: skip


def _settings(kind: str) -> Any:
    from splink import SettingsCreator, block_on  # noqa: PLC0415
    from splink import comparison_level_library as level  # noqa: PLC0415
    from splink import comparison_library as compare  # noqa: PLC0415

    name = compare.CustomComparison(
        output_column_name="name",
        comparison_levels=[
            level.NullLevel("name"),
            level.ExactMatchLevel("name", term_frequency_adjustments=True),
            level.LevenshteinLevel("name", _ONE_CHARACTER),
            level.ElseLevel(),
        ],
    )
    rare = [
        compare.ExactMatch(column).configure(term_frequency_adjustments=True)
        for column in ("birth_or_founding_date", "region")
    ]
    of_kind = "gender" if kind == "person" else "owner_identity_token"
    exact = [compare.ExactMatch(column) for column in ("identity_token", "phone_token", of_kind)]
    # A pair is looked at only where it agrees on one of these: all pairs of a million customers are too many.
    blocks: Sequence[tuple[str, ...]] = (
        ("identity_token",),
        ("phone_token",),
        ("birth_or_founding_date", "name"),
        ("birth_or_founding_date", "region"),
        ("name", "region"),
    )
    return SettingsCreator(
        link_type="dedupe_only",
        comparisons=[name, *rare, *exact],
        blocking_rules_to_generate_predictions=[block_on(*columns) for columns in blocks],
        retain_matching_columns=False,
    )


def _lookalikes(customers: pl.DataFrame) -> pl.DataFrame:
    found = [pl.DataFrame(schema=LINK_SCHEMA)]
    for columns in (("birth_or_founding_date", "name"), ("phone_token",)):
        groups = (
            customers.drop_nulls(columns)
            .group_by(columns)
            .agg(pl.col("row").sort())
            .filter(pl.col("row").list.len().is_between(2, _COMMON))
        )
        found.append(
            groups.select(pl.col("row").list.first().alias("left"), pl.col("row").list.slice(1).alias("right"))
            .explode("right")
            .select("left", "right", basis=pl.lit(Basis.LIKELIHOOD.value), probability=pl.lit(None, pl.Float64))
            .cast(LINK_SCHEMA)
        )
    return pl.concat(found).unique(["left", "right"])


def _pairs_sharing(customers: pl.DataFrame, column: str) -> int:
    shared = customers.drop_nulls(column).group_by(column).len()["len"].cast(pl.Int64)
    return int((shared * (shared - 1) // 2).sum())

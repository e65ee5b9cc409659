"""The UCI data set "Bank Marketing" (calls of a Portuguese bank, May 2008 to November 2010) as canonical tables.

One row a call: who was called, by what, and whether the person took a term deposit. Source: Moro, Cortez and Rita
(2014), "A data-driven approach to predict the success of bank telemarketing", Decision Support Systems 62; UCI Machine
Learning Repository, CC BY 4.0. Both ``bank-additional`` and the older ``bank`` files are read.

``duration`` is left out: how long a call lasts is known only once its outcome is. Columns without a place in the
canonical tables (economic indices, ``job``, ``housing``, ``loan``) are left out too and named in the load.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pandera.polars as pa
import polars as pl

from features.contracts import CONTRACTS, TableContract, TableLoad
from features.sources.files import read_table
from features.sources.uci import documented_rows, load_of

LEGAL_ENTITY: Final = "consumer"
FIRST_YEAR: Final = 2008
OBSERVED_UNTIL: Final = datetime(2010, 12, 1, tzinfo=UTC)

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEVER: Final = 999
"""``pdays`` of somebody who was not called before (-1 in the older files)."""

_EDUCATION: Final = {
    "illiterate": "other", "basic.4y": "primary", "basic.6y": "primary", "basic.9y": "secondary",
    "high.school": "secondary", "professional.course": "secondary", "university.degree": "bachelor",
    "primary": "primary", "secondary": "secondary", "tertiary": "bachelor",
}  # fmt: skip
_MARITAL: Final = {"married": "married", "single": "single", "divorced": "other"}


def _one_of(*values: str) -> pa.Column:
    return pa.Column(pl.String, pa.Check.isin(list(values), error=f"is one of {', '.join(values)}"))


_CONTRACT: Final = TableContract(
    "uci_bank_marketing",
    pa.DataFrameSchema({
        "age": pa.Column(pl.Int64, pa.Check.in_range(15, 120, error="is from 15 to 120")),
        "marital": _one_of("married", "single", "divorced", "unknown"),
        "education": _one_of(*_EDUCATION, "unknown"),
        "contact": _one_of("cellular", "telephone", "unknown"),
        "month": _one_of(*_MONTHS),
        "day_of_week": pa.Column(pl.String, pa.Check.isin(list(_DAYS), error="is a day such as mon"), nullable=True),
        "pdays": pa.Column(pl.Int64, pa.Check.in_range(-1, 2_000, error="is from -1 to 2000")),
        "poutcome": _one_of("success", "failure", "nonexistent", "unknown", "other"),
        "y": _one_of("yes", "no"),
    }),
    key=(),
    refers_to_customers=False,
)  # fmt: skip


def read_uci_bank_marketing(path: Path, raw: Path, quarantine: Path, *, rejected_share_limit: float) -> TableLoad:
    """Write ``customers`` and ``contacts`` below ``raw``, and ``statements`` and ``defaults`` without rows.

    A call that followed an earlier one of known day gives two contacts. The file is ordered by time and names months
    without years: the year grows where the months begin anew. Of days only the weekday is told, so a call stands at
    the first such weekday of its month.

    Raises:
        UnreadableFile: the file cannot be read.
        ContractBroken: a column is missing, or more rows than allowed are rejected.
    """
    verdict = documented_rows(read_table(path), _CONTRACT, path, quarantine, rejected_share_limit=rejected_share_limit)
    calls = _dated(verdict.kept)
    tables = {"customers": _customers(calls), "contacts": _contacts(calls)}
    for name in ("customers", "contacts", "statements", "defaults"):
        target = raw / name
        target.mkdir(parents=True, exist_ok=True)
        table = tables.get(name, pl.DataFrame(schema=CONTRACTS[name].columns))
        table.write_parquet(target / "part-00000.parquet")
    return load_of(_CONTRACT, verdict)


def _dated(calls: pl.DataFrame) -> pl.DataFrame:
    month = pl.col("month").replace_strict(
        {name: number for number, name in enumerate(_MONTHS, 1)}, return_dtype=pl.Int32
    )
    weekday = pl.col("day_of_week").fill_null("mon").replace_strict(
        {name: number for number, name in enumerate(_DAYS, 1)}, return_dtype=pl.Int32
    )  # fmt: skip
    calls = calls.with_row_index("call", offset=1).with_columns(month_number=month, weekday=weekday)
    # The months run backwards only where a year ends.
    new_year = (pl.col("month_number") < pl.col("month_number").shift(1)).fill_null(value=False)
    calls = calls.with_columns(year=FIRST_YEAR + new_year.cast(pl.Int32).cum_sum())
    start = pl.datetime("year", "month_number", 1, time_unit="us", time_zone="UTC")
    days = (pl.col("weekday") - start.dt.weekday() + 7) % 7
    return calls.with_columns(
        customer_id=pl.format("BM{}", pl.col("call").cast(pl.String).str.zfill(6)),
        called_at=start + pl.duration(days=days, hours=10),
        known_since=start,
    )


def _customers(calls: pl.DataFrame) -> pl.DataFrame:
    born = pl.datetime(pl.col("year") - pl.col("age"), 7, 1).cast(pl.Date)
    # A customer was known before the earlier call, where there was one.
    since = pl.min_horizontal("known_since", _called_before()) - timedelta(days=1)
    given = {
        "legal_entity": pl.lit(LEGAL_ENTITY),
        "customer_id": pl.col("customer_id"),
        "kind": pl.lit("person"),
        "birth_or_founding_date": born,
        "marital_status": pl.col("marital").replace_strict(_MARITAL, default=None, return_dtype=pl.String),
        "education": pl.col("education").replace_strict(_EDUCATION, default=None, return_dtype=pl.String),
        "currency": pl.lit("EUR"),
        "marketing_consent": pl.lit(value=True),
        "share_within_group_consent": pl.lit(value=False),
        "event_timestamp": since,
        "created_timestamp": since,
    }
    return _canonical(calls, "customers", given)


def _contacts(calls: pl.DataFrame) -> pl.DataFrame:
    took = pl.col("y") == "yes"
    channel = pl.when(pl.col("contact") != "unknown").then("contact")
    this = {
        "legal_entity": pl.lit(LEGAL_ENTITY),
        "campaign_id": pl.format("{}-{}", "year", pl.col("month_number").cast(pl.String).str.zfill(2)),
        "customer_id": pl.col("customer_id"),
        "treated": pl.lit(value=True),
        "channel": channel,
        "responded": took,
        "took_up": took,
        "event_timestamp": pl.col("called_at"),
        "created_timestamp": pl.col("called_at"),
    }
    succeeded = pl.col("poutcome") == "success"
    before = this | {
        "campaign_id": pl.lit("earlier"),
        "channel": pl.lit(None, pl.String),
        "responded": succeeded,
        "took_up": succeeded,
        "event_timestamp": _called_before(),
        "created_timestamp": _called_before(),
    }
    earlier = calls.filter(_was_called_before())
    return pl.concat([_canonical(calls, "contacts", this), _canonical(earlier, "contacts", before)])


def _was_called_before() -> pl.Expr:
    return (pl.col("pdays") >= 0) & (pl.col("pdays") != _NEVER)


def _called_before() -> pl.Expr:
    return pl.when(_was_called_before()).then(pl.col("called_at") - pl.duration(days=pl.col("pdays") + 1))


def _canonical(calls: pl.DataFrame, table: str, given: dict[str, pl.Expr]) -> pl.DataFrame:
    columns = CONTRACTS[table].columns
    return calls.select(
        given.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in columns.items()
    )  # fmt: skip

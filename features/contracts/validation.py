"""Hold a table against its contract: keep what is right, and say of each rejected row where and why it is not."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pandera.errors
import polars as pl

from features.contracts.tables import INSTANT, TableContract
from features.errors import ContractBroken

ROW_NUMBER: Final = "row_number"

REJECTION_SCHEMA: Final = pl.Schema(
    {
        "file": pl.String,
        "row_number": pl.Int64,
        "column": pl.String,
        "value": pl.String,
        "rule": pl.String,
        "row": pl.String,
    }
)
"""A quarantine record: the file and row (from 1, the header not counted), the offending column and value, the rule
it breaks, and the whole raw row as JSON, so that it can be mended and loaded again."""

_TYPE_RULES: Final[dict[Any, str]] = {
    pl.Decimal: "is an amount with at most two decimals",
    pl.Datetime: "is an instant such as 2026-01-31T10:30:00Z",
    pl.Date: "is a date such as 2026-01-31",
    pl.Int32: "is a whole number",
    pl.Int64: "is a whole number",
    pl.Float64: "is a number",
    pl.Boolean: "is true or false",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rows of one file that keep the contract, those that do not (one record a broken rule), and the count."""

    kept: pl.DataFrame
    rejections: pl.DataFrame
    rows_rejected: int
    ignored_columns: tuple[str, ...]
    rows_rejected_for_now: int = 0
    """Rejected rows that may be right another day: of customers not known yet, or of dates in the future."""


def validate(
    frame: pl.DataFrame,
    contract: TableContract,
    file: str,
    *,
    known_customers: pl.DataFrame | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Sort the rows of ``frame`` into kept and rejected. Every broken rule is reported, not only the first.

    Texts (from CSV) are parsed into the contract's types. With ``known_customers`` (``legal_entity``,
    ``customer_id``), a row about any other customer is rejected; with ``now``, one that was learnt after it.

    Raises:
        ContractBroken: a column of the contract is missing.
    """
    types = contract.columns
    missing = [name for name in types if name not in frame.columns and not contract.schema.columns[name].nullable]
    if missing:
        raise ContractBroken(
            f"{file}: table '{contract.name}' needs the column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"the file has {', '.join(frame.columns)}."
        )
    raw = frame.select(pl.col(name) if name in frame.columns else pl.lit(None).alias(name) for name in types)
    raw = raw.with_row_index(ROW_NUMBER, offset=1)
    typed = raw.select(ROW_NUMBER, *(_parsed(name, raw.schema[name], types[name]) for name in types))
    rejections = [
        *(_unparsed(raw, typed, name, types[name]) for name in types),
        _rule_breaks(typed, contract),
    ]
    for_now = [_no_rejections()]
    if known_customers is not None and contract.refers_to_customers:
        for_now.append(_unknown_customers(typed, known_customers))
    if now is not None:
        for_now.append(_from_the_future(typed, now))
    rejections += for_now
    broken = pl.concat(rejections)
    # A value that could not be parsed is null now; that it is missing as well is no second fault.
    broken = broken.unique(subset=[ROW_NUMBER, "column"], keep="first", maintain_order=True).sort(ROW_NUMBER)
    bad_rows = broken.select(pl.col(ROW_NUMBER).unique())
    kept = typed.join(bad_rows, on=ROW_NUMBER, how="anti", maintain_order="left").drop(ROW_NUMBER)
    return Verdict(
        kept=kept,
        rejections=_with_raw_row(broken, raw, file),
        rows_rejected=len(bad_rows),
        ignored_columns=tuple(name for name in frame.columns if name not in types),
        rows_rejected_for_now=pl.concat(for_now)[ROW_NUMBER].n_unique(),
    )


def _parsed(name: str, given: pl.DataType, wanted: Any) -> pl.Expr:
    """The column in the contract's type; null where its value is none of that type. Nothing is rounded in silence."""
    column = pl.col(name)
    if given == pl.String:
        # A blank is no value, in any column.
        text = column.str.strip_chars()
        return _from_text(pl.when(text != "").then(text), wanted).alias(name)
    if given == wanted:
        return column
    return _from_value(column, given, wanted).alias(name)


def _from_text(text: pl.Expr, wanted: Any) -> pl.Expr:
    if wanted == pl.String:
        return text
    if isinstance(wanted, pl.Datetime):
        return _instant(text)
    if wanted == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=False)
    if wanted == pl.Boolean:
        words = {"true": True, "false": False, "1": True, "0": False}
        return text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if isinstance(wanted, pl.Decimal):
        return _exact(text, wanted)
    return text.cast(wanted, strict=False)


def _from_value(column: pl.Expr, given: pl.DataType, wanted: Any) -> pl.Expr:
    if isinstance(given, pl.Datetime) and given.time_zone is None and isinstance(wanted, pl.Datetime):
        return column.dt.replace_time_zone("UTC").cast(wanted, strict=False)
    if isinstance(wanted, pl.Decimal):
        if not given.is_float():
            return _exact(column, wanted)
        # 0.1 + 0.2 is 30 cents all the same; a third of a cent is not.
        cents = column * 100
        off = (cents - cents.round()).abs()
        return pl.when(off <= 1e-4 + 1e-15 * cents.abs()).then(column.round(2).cast(wanted, strict=False))
    if given.is_float() and wanted in (pl.Int32, pl.Int64):
        return pl.when(column == column.round()).then(column.cast(wanted, strict=False))
    return column.cast(wanted, strict=False)


def _exact(column: pl.Expr, wanted: pl.Decimal) -> pl.Expr:
    fine = pl.Decimal(38, 10)
    exact = column.cast(wanted, strict=False)
    return pl.when(column.cast(fine, strict=False) == exact.cast(fine)).then(exact)


def _instant(text: pl.Expr) -> pl.Expr:
    """ISO 8601 with ``T`` or a space, with a zone or (then UTC is meant) without, or a bare date."""
    iso = text.str.replace(" ", "T", literal=True).str.replace(r"[zZ]$", "+00:00")
    with_zone = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
    without = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    day = iso.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.coalesce(with_zone, without, day).cast(INSTANT)


def _unparsed(raw: pl.DataFrame, typed: pl.DataFrame, name: str, wanted: Any) -> pl.DataFrame:
    if raw.schema[name] == wanted or raw.schema[name] == pl.Null:
        return _no_rejections()
    given = raw[name]
    if given.dtype == pl.String:
        present = given.str.strip_chars() != ""
    else:
        # Tables that went through pandas say NaN where they know nothing.
        present = given.is_not_nan() if given.dtype.is_float() else given.is_not_null()
    failed = raw.filter(present.fill_null(value=False) & typed[name].is_null())
    rule = _TYPE_RULES.get(wanted.base_type() if hasattr(wanted, "base_type") else wanted, f"is {wanted}")
    return failed.select(
        ROW_NUMBER,
        column=pl.lit(name),
        value=pl.col(name).cast(pl.String),
        rule=pl.lit(rule),
    ).cast(_no_rejections().schema)  # fmt: skip


def _rule_breaks(typed: pl.DataFrame, contract: TableContract) -> pl.DataFrame:
    try:
        contract.schema.validate(typed, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases: pl.DataFrame = error.failure_cases
    else:
        return _no_rejections()
    if cases["index"].null_count():
        fault = cases.filter(pl.col("index").is_null()).row(0, named=True)
        raise ContractBroken(f"Table '{contract.name}' as a whole breaks '{fault['check']}' ({fault['failure_case']}).")
    duplicated = pl.col("check") == "multiple_fields_uniqueness"
    of_row = pl.col("schema_context") == "DataFrameSchema"
    return cases.select(
        (pl.col("index") + 1).cast(pl.UInt32).alias(ROW_NUMBER),
        column=pl.when(duplicated)
        .then(pl.lit(", ".join(contract.key)))
        .when(of_row)
        .then(pl.lit("created_timestamp"))
        .otherwise("column"),
        value=pl.when(of_row & ~duplicated)
        .then(pl.col("failure_case").str.json_path_match("$.created_timestamp"))
        .when(~duplicated)
        .then("failure_case"),
        rule=pl.when(duplicated)
        .then(pl.lit("occurs once in the table"))
        .when(pl.col("check") == "not_nullable")
        .then(pl.lit("is not empty"))
        .otherwise("check"),
    ).cast(_no_rejections().schema)  # fmt: skip


def _unknown_customers(typed: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    strangers = typed.join(known, on=["legal_entity", "customer_id"], how="anti")
    return strangers.select(
        ROW_NUMBER,
        column=pl.lit("customer_id"),
        value=pl.col("customer_id"),
        rule=pl.lit("is a customer of the legal entity in table 'customers'"),
    ).cast(_no_rejections().schema)  # fmt: skip


def _from_the_future(typed: pl.DataFrame, now: datetime) -> pl.DataFrame:
    late = typed.filter(pl.col("created_timestamp") > now)
    return late.select(
        ROW_NUMBER,
        column=pl.lit("created_timestamp"),
        value=pl.col("created_timestamp").dt.to_string("iso:strict"),
        rule=pl.lit("is not in the future"),
    ).cast(_no_rejections().schema)  # fmt: skip


def _with_raw_row(broken: pl.DataFrame, raw: pl.DataFrame, file: str) -> pl.DataFrame:
    if broken.is_empty():
        return pl.DataFrame(schema=REJECTION_SCHEMA)
    columns = [name for name in raw.columns if name != ROW_NUMBER]
    affected = raw.join(broken.select(pl.col(ROW_NUMBER).unique()), on=ROW_NUMBER, how="semi")
    rows = affected.select(
        ROW_NUMBER, row=pl.struct(pl.col(name).cast(pl.String) for name in columns).struct.json_encode()
    )
    return (
        broken.join(rows, on=ROW_NUMBER, how="left", maintain_order="left")
        .with_columns(file=pl.lit(file))
        .select(*REJECTION_SCHEMA)
        .cast(REJECTION_SCHEMA)
    )


def _no_rejections() -> pl.DataFrame:
    return pl.DataFrame(schema={ROW_NUMBER: pl.UInt32, "column": pl.String, "value": pl.String, "rule": pl.String})


def rules_broken(rejections: pl.DataFrame) -> dict[str, int]:
    """How often each rule was broken, by ``column: rule``, the most frequent first."""
    rules = Counter(f"{column}: {rule}" for column, rule in rejections.select("column", "rule").iter_rows())
    return dict(rules.most_common())

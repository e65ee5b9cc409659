"""How a column of any table is read: as numbers, categories, dates, or not at all, and in what words it is told.

Nothing is guessed in silence: each reading has a note that says by what it was decided and what was lost.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Vector = npt.NDArray[np.float64]
ReadAs = Literal["number", "category", "date", "series", "left out"]

EMPTY: Final = ("", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "--", "#n/a", "缺失", "无")
"""Texts, in lower case, that say there is no value."""

MOST_CATEGORIES: Final = 200
_PARSED_SHARE: Final = 0.95
"""A column of which at least this share can be read as numbers (or dates) is one; the rest counts as missing."""

_UNIQUE_SHARE: Final = 0.9
_DATE_FORMATS: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y",
    "%d%b%Y", "%b-%Y", "%Y-%m", "%Y%m%d",
)  # fmt: skip
_AMBIGUOUS: Final = {"%d/%m/%Y": "%m/%d/%Y"}
_IDENTIFIER: Final = re.compile(
    r"(^|[_\s-])(id|ids|no|nr|num|number|uuid|guid|key|index|row|编号|序号)$", re.IGNORECASE
)
_TIME_OF_DAY: Final = r"\d[T ]\d{1,2}:\d{2}"
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column was read, and why; ``warning`` if somebody should look at it."""

    name: str
    read_as: ReadAs
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A reading with its values: numbers as ``Float64``, dates as ``Float64`` days since 1970, categories as text."""

    reading: Reading
    values: pl.Series | None
    categories: tuple[str, ...] = ()


def without_empty(column: pl.Series) -> pl.Series:
    """A column of texts with what says nothing as null, and without blanks around the rest."""
    if column.dtype != pl.String:
        return column
    bare = column.str.strip_chars()
    return bare.set(bare.str.to_lowercase().is_in(list(EMPTY)), None)


def read_column(column: pl.Series, *, keep: bool = False, least_rows: int = 10) -> ReadColumn:
    """Read a column as what it seems to be.

    Args:
        column: as the file has it.
        keep: whether to read it even if it looks like a row's name.
        least_rows: a category of fewer rows is taken for missing.
    """
    name = column.name
    bare = without_empty(column)
    present = bare.drop_nulls()
    if present.dtype.is_float():
        present = present.drop_nans()
    if not len(present):
        return _left_out(name, "no value in any row", warning=True)
    distinct = present.n_unique()
    if distinct == 1:
        return _left_out(name, f"the same value in every row that has one: {present[0]!r}", warning=True)
    if isinstance(bare.dtype, pl.Date | pl.Datetime):
        return _date(name, bare, "dates as they stand")
    if bare.dtype == pl.Boolean:
        return ReadColumn(Reading(name, "number", "true is 1, false is 0"), bare.cast(pl.Float64))
    if bare.dtype.is_numeric():
        return _number(name, bare.cast(pl.Float64), distinct, "", keep=keep)
    texts = bare.cast(pl.String)
    numbers, how = as_numbers(texts)
    if numbers is not None:
        return _number(name, numbers, distinct, how + _lost(texts, numbers), keep=keep)
    days, pattern = as_days(texts)
    if days is not None:
        return _date(name, days, f"dates written {pattern}" + _ambiguity(texts, pattern) + _lost(texts, days))
    return _category(name, texts, distinct, keep=keep, least_rows=least_rows)


def as_numbers(texts: pl.Series) -> tuple[pl.Series | None, str]:
    """The texts as ``Float64`` and how they are written; None unless nearly all are numbers."""
    tries: tuple[tuple[str, Callable[[pl.Series], pl.Series]], ...] = (
        ("", lambda given: given),
        ("with thousands separators", lambda given: given.str.replace_all(r",(\d{3})", "${1}")),
        ("in percent", lambda given: given.str.strip_suffix("%").str.strip_chars_end()),
        (
            "with a currency sign",
            lambda given: given.str.replace(r"^[¥￥$€£]\s*", "").str.replace_all(r",(\d{3})", "${1}"),
        ),
        ("with a decimal comma", lambda given: given.str.replace_all(".", "", literal=True).str.replace(",", ".")),
    )
    present = len(texts) - texts.null_count()
    for how, change in tries:
        found = change(texts).cast(pl.Float64, strict=False)
        found = found.set(~found.is_finite(), None)
        if len(found) - found.null_count() >= _PARSED_SHARE * present:
            return (found / 100 if how == "in percent" else found), how
    return None, ""


def as_days(texts: pl.Series) -> tuple[pl.Series | None, str]:
    """The texts as days since 1970-01-01 and the pattern of the dates; None unless nearly all are dates."""
    present = len(texts) - texts.null_count()
    if int(texts.str.contains(_TIME_OF_DAY).sum()) >= _PARSED_SHARE * present:
        instants = texts.str.to_datetime(time_unit="us", time_zone="UTC", strict=False, ambiguous="earliest")
        if len(instants) - instants.null_count() >= _PARSED_SHARE * present:
            return instants.dt.epoch("us").cast(pl.Float64) / 86_400e6, "with a time of day"
    best: tuple[int, pl.Series, str] | None = None
    for pattern in _DATE_FORMATS:
        # A month without a day is its first.
        given, full = (texts, pattern) if "%d" in pattern else (texts + "-01", f"{pattern}-%d")
        found = given.str.to_date(full, strict=False, exact=True)
        parsed = len(found) - found.null_count()
        if parsed >= _PARSED_SHARE * present and (best is None or parsed > best[0]):
            best = (parsed, found, pattern)
    if best is None:
        return None, ""
    return best[1].dt.epoch("d").cast(pl.Float64), best[2]


def _number(name: str, values: pl.Series, distinct: int, how: str, *, keep: bool) -> ReadColumn:
    infinite = int(values.is_infinite().sum())
    values = values.set(~values.is_finite(), None) if infinite else values
    present = values.drop_nulls()
    whole = bool((present == present.round()).all())
    steps = present.sort().diff().drop_nulls()
    counts_up = whole and distinct == len(present) and len(present) > 20 and bool((steps == 1).all())
    named = whole and distinct >= _UNIQUE_SHARE * len(present) and bool(_IDENTIFIER.search(name))
    if (counts_up or named) and not keep:
        return _left_out(name, "looks like the name of a row (whole numbers, each once); --keep reads it all the same")
    written, _, lost = how.partition(";")
    note = "numbers" + (f" {written}" if written else "") + _range(present) + (f";{lost}" if lost else "")
    if infinite:
        note += f"; {infinite:,} infinite, taken for missing"
    return ReadColumn(Reading(name, "number", note + _missing(values), warning="unlike" in how), values)


def _date(name: str, values: pl.Series, note: str) -> ReadColumn:
    if isinstance(values.dtype, pl.Datetime):
        values = values.dt.epoch("us").cast(pl.Float64) / 86_400e6
    elif values.dtype == pl.Date:
        values = values.dt.epoch("d").cast(pl.Float64)
    warning = "unlike" in note or "ambiguous" in note
    return ReadColumn(Reading(name, "date", note + _missing(values), warning=warning), values)


def _category(name: str, texts: pl.Series, distinct: int, *, keep: bool, least_rows: int) -> ReadColumn:
    present = len(texts.drop_nulls())
    if distinct >= _UNIQUE_SHARE * present and distinct > MOST_CATEGORIES and not keep:
        return _left_out(name, f"{distinct:,} different texts in {present:,} rows: names or free text, not categories")
    counts = texts.drop_nulls().value_counts(sort=True).sort(["count", name], descending=[True, False])
    kept = counts.filter(pl.col("count") >= least_rows).head(MOST_CATEGORIES)
    if len(kept) < 2:
        return _left_out(name, f"no two of its {distinct:,} categories have {least_rows} rows each", warning=True)
    others = distinct - len(kept)
    note = f"{distinct:,} categories"
    if others:
        rows = present - int(kept["count"].sum())
        note += f"; the {others:,} rarest ({rows:,} rows) are taken for missing"
    categories = tuple(sorted(kept[name].to_list()))
    reading = Reading(name, "category", note + _missing(texts), warning=distinct > MOST_CATEGORIES)
    return ReadColumn(reading, texts, categories)


def _left_out(name: str, why: str, *, warning: bool = False) -> ReadColumn:
    return ReadColumn(Reading(name, "left out", why, warning), None)


def _lost(texts: pl.Series, read: pl.Series) -> str:
    lost = texts.filter(texts.is_not_null() & read.is_null())
    if not len(lost):
        return ""
    examples = ", ".join(repr(text) for text in lost.unique(maintain_order=True).head(_EXAMPLES))
    return f"; {len(lost):,} unlike the rest, taken for missing: {examples}"


def _ambiguity(texts: pl.Series, pattern: str) -> str:
    other = _AMBIGUOUS.get(pattern)
    if other is None:
        return ""
    both = texts.str.to_date(other, strict=False).is_not_null().sum() == texts.is_not_null().sum()
    return "; ambiguous: the day may be the month" if both else ""


def _range(present: pl.Series) -> str:
    low, high = present.to_numpy().min(), present.to_numpy().max()
    return f" from {low:g} to {high:g}"


def _missing(values: pl.Series) -> str:
    return f"; {values.null_count() / len(values):.1%} missing" if values.null_count() else ""

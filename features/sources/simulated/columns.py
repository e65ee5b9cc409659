"""Arrow columns straight from NumPy arrays: decimals, instants, texts from a list, numbered identifiers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

AMOUNT = pa.decimal128(18, 2)
INSTANT = pa.timestamp("us", tz="UTC")


def amounts(cents: npt.NDArray[np.int64], absent: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Decimals with two digits from whole cents, without a detour through text or objects."""
    words = np.empty((len(cents), 2), np.int64)
    words[:, 0] = cents
    words[:, 1] = cents >> 63
    validity = None if absent is None else pa.py_buffer(np.packbits(~absent, bitorder="little"))
    return pa.Array.from_buffers(AMOUNT, len(cents), [validity, pa.py_buffer(words)])


def to_cents(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Amounts in currency units rounded to whole cents."""
    return np.asarray(np.rint(values * 100), np.int64)


def instants(microseconds: npt.NDArray[np.int64]) -> pa.Array:
    """UTC timestamps from microseconds since 1970."""
    return pa.array(microseconds, pa.int64()).cast(INSTANT)


def dates(microseconds: npt.NDArray[np.int64], absent: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """The UTC days in which the instants lie."""
    return pa.array(microseconds.astype("datetime64[us]").astype("datetime64[D]"), mask=absent)


def texts(
    index: npt.NDArray[np.integer], values: Sequence[str], absent: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """``values[index]`` as a dictionary column, which Parquet stores without writing a text twice."""
    distinct = {value: place for place, value in enumerate(dict.fromkeys(values))}
    if len(distinct) < len(values):
        # Parquet files of a dictionary that names a text twice differ from run to run.
        index = np.array([distinct[value] for value in values], np.int32)[index]
        values = list(distinct)
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32), mask=absent), pa.array(values, pa.string()))


def constant(value: str, rows: int) -> pa.Array:
    """The same text in every row."""
    return texts(np.zeros(rows, np.int32), [value])


def numbered(prefix: str, numbers: npt.NDArray[np.int64], digits: int) -> pa.Array:
    """Identifiers such as ``T0000000042``: an ASCII prefix and a zero-padded number."""
    width = len(prefix) + digits
    letters = np.empty((len(numbers), width), np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode("ascii"), np.uint8)
    rest = numbers.astype(np.uint64)
    for place in range(width - 1, len(prefix) - 1, -1):
        quotient = rest // np.uint64(10)
        letters[:, place] = (rest - quotient * np.uint64(10)).astype(np.uint8) + ord("0")
        rest = quotient
    offsets = np.arange(0, (len(numbers) + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(letters)])

"""Feast's encodings: a party's key as bytes, and values as serialised protobufs, decoded many at a time."""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from features.errors import FeatureStoreUnavailable

_STRING: Final = 2
"""``ValueType.STRING`` of Feast's ``Value.proto``."""

_TEXT_HEAD: Final = struct.Struct("<II")

_DOUBLE_TAG: Final = (5 << 3) | 1
"""Field 5, ``double_val``, of eight bytes (Protocol Buffers, encoding of wire type 1)."""

_VALUE: Final = np.dtype([("tag", "u1"), ("double", "<f8")])
_NULL: Final = bytes([_DOUBLE_TAG]) + struct.pack("<d", float("nan"))


def entity_keys(names: Sequence[str], parties: Sequence[Sequence[str]]) -> list[bytes]:
    """Keys of ``parties`` (values in the order of ``names``) as Feast's serialisation of version 3 writes them.

    Names are sorted, each as type, length and text; then the values in the order of the names.
    """
    order = sorted(range(len(names)), key=lambda place: names[place])
    head = struct.pack("<I", len(names)) + b"".join(_text(names[place]) for place in order)
    columns = list(zip(*parties, strict=True))
    encoded = [_texts(columns[place]) for place in order]
    return [head + b"".join(key) for key in zip(*encoded, strict=True)]


def doubles(values: Sequence[bytes | None]) -> npt.NDArray[np.float64]:
    """Serialised ``Value`` messages as numbers; what is absent or null becomes NaN.

    Raises:
        FeatureStoreUnavailable: one of them holds no double.
    """
    joined = b"".join([value or _NULL for value in values])
    if len(joined) == len(values) * _VALUE.itemsize:
        decoded = np.frombuffer(joined, dtype=_VALUE)
        if (decoded["tag"] == _DOUBLE_TAG).all():
            return decoded["double"].astype(np.float64)
    raise FeatureStoreUnavailable(
        "The online store holds a value that is no number; run `jinkong features --again` to fill it anew."
    )


def encoded_doubles(values: npt.NDArray[np.float64]) -> list[bytes]:
    """Numbers as serialised ``Value`` messages, row by row; NaN becomes the null value, which has no bytes."""
    encoded = np.empty(values.size, dtype=_VALUE)
    encoded["tag"] = _DOUBLE_TAG
    encoded["double"] = values.ravel()
    messages: list[bytes] = encoded.view(f"V{_VALUE.itemsize}").tolist()
    for place in np.flatnonzero(np.isnan(encoded["double"])).tolist():
        messages[place] = b""
    return messages


def _texts(texts: Sequence[str]) -> list[bytes]:
    # Most are asked for by one company.
    return [_text(texts[0])] * len(texts) if len(set(texts)) == 1 else list(map(_text, texts))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _TEXT_HEAD.pack(_STRING, len(encoded)) + encoded

"""How a part of a batch stands on record: a column each of what was seen and answered, not a row each.

Features that are numbers are packed, as they are most of a record: doubles, little-endian, row by row, as an LZ4 frame
in base64. Rows that hold texts stand as they are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pybase64

from serving.scored import Matrix, ScoredColumns, Value
from serving.scorer import Scorer
from training import RegisteredModel

_CODEC: Final = "lz4"
_DOUBLES: Final = "<f8"


def part_content(
    legal_entity: str, registered: RegisteredModel, parties: Sequence[str] | None, scored: ScoredColumns
) -> dict[str, Any]:
    """What is put on record of scores that a company asked for together; of ``parties``, or of rows that were given."""
    return {
        "request": {"legal_entity": legal_entity, "model": registered.name},
        "model": {"name": registered.name, "version": registered.version, "sha256": registered.sha256},
        "party_id": parties,
        "features": _packed(scored.values),
        "features_as_of": scored.features_as_of,
        **_answers(scored),
    }


def rows_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A record's rows, each as the record of a single score has it."""
    features = _unpacked(content)
    return [_row(content, features, row) for row in range(len(features))]


def row_of(content: Mapping[str, Any], row: int) -> dict[str, Any]:
    """One of them, without the others."""
    return _row(content, _unpacked(content), row)


def decided_again(content: Mapping[str, Any], scorer: Scorer) -> dict[str, Any]:
    """The record that the same rows give with ``scorer``.

    Raises:
        WrongFeatureRow: one is not the model's.
    """
    features = _unpacked(content)
    rows = [_values(features, row) for row in range(len(features))]
    return dict(content) | _answers(scorer.score_values(rows))


def _answers(scored: ScoredColumns) -> dict[str, Any]:
    reasons = scored.reasons
    codes = [reason.code for reason in reasons.book]
    return {
        "probability": scored.probability,
        "score": scored.score,
        "grade": scored.grade,
        "reasons": reasons.by_row(zip(map(codes.__getitem__, reasons.places), reasons.weights, strict=True)),
        "reason_texts": {
            reason.code: {"zh": reason.zh, "en": reason.en}
            for reason in map(reasons.book.__getitem__, sorted(set(reasons.places)))
        },
    }


def _packed(values: Matrix | list[list[Value]]) -> str | list[list[Value]]:
    import pyarrow as pa  # noqa: PLC0415 - for batches alone

    if isinstance(values, list):
        if any(isinstance(value, str | bool) for row in values for value in row):
            return values
        values = np.array(values, np.float64)
    return pybase64.b64encode_as_string(pa.compress(np.ascontiguousarray(values, _DOUBLES), _CODEC, asbytes=True))


def _unpacked(content: Mapping[str, Any]) -> Matrix | list[list[Value]]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    features: str | list[list[Value]] = content["features"]
    if isinstance(features, list):
        return features
    frame = pa.BufferReader(pybase64.b64decode(features))
    doubles = np.frombuffer(pa.CompressedInputStream(frame, _CODEC).read(), _DOUBLES)
    return doubles.reshape(len(content["probability"]), -1)


def _values(features: Matrix | list[list[Value]], row: int) -> list[Value]:
    if isinstance(features, list):
        return features[row]
    return [None if math.isnan(value) else value for value in features[row].tolist()]


def _row(content: Mapping[str, Any], features: Matrix | list[list[Value]], row: int) -> dict[str, Any]:
    texts, parties = content["reason_texts"], content["party_id"]
    return {
        "party_id": parties[row] if parties else None,
        "features": _values(features, row),
        "reasons": [{"code": code, **texts[code], "weight": weight} for code, weight in content["reasons"][row]],
        **{name: content[name][row] for name in ("features_as_of", "probability", "score", "grade")},
    }

"""Faults that real deliveries have: a few raw rows that no contract should let through."""

from typing import Final

import numpy as np
import pyarrow as pa

from features.sources.simulated.columns import amounts, instants, texts
from features.sources.simulated.partition import DAY, Partition

_SHARE: Final = 0.0001


def with_faults(partition: Partition, transactions: pa.Table) -> pa.Table:
    """Spoil about one transaction in 10,000: a currency that is none, a negative amount, known before it happened."""
    rng = partition.rng("faults")
    rows = len(transactions)
    spoiled = np.unique(rng.integers(0, rows, max(3, int(rows * _SHARE))))
    fault = np.arange(len(spoiled)) % 3

    currency = np.zeros(rows, np.int32)
    currency[spoiled[fault == 0]] = 1
    cents = np.frombuffer(transactions["amount"].chunk(0).buffers()[1], np.int64)[::2].copy()
    cents[spoiled[fault == 1]] *= -1
    created = transactions["created_timestamp"].chunk(0).cast(pa.int64()).to_numpy(zero_copy_only=False).copy()
    created[spoiled[fault == 2]] -= 40 * DAY
    return (
        transactions.set_column(
            transactions.schema.get_field_index("currency"), "currency", texts(currency, ("CNY", "RMB"))
        )
        .set_column(transactions.schema.get_field_index("amount"), "amount", amounts(cents))
        .set_column(transactions.schema.get_field_index("created_timestamp"), "created_timestamp", instants(created))
    )

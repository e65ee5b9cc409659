"""The formats that batches come and go in. Apart from what reads them, which takes half a second to import."""

from typing import Final

MOST_ROWS: Final = 10_000
"""Of one batch."""

JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
ARROW: Final = "application/vnd.apache.arrow.stream"
FORMATS: Final = (JSON, CSV, PARQUET, ARROW)

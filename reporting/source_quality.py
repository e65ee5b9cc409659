"""The report on data sources: what each is like, what it adds, and which are worth their money."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from features.sources.quality.judgement import Judgement, SourceQuality
from group.page import write_page

_COLUMNS_SHOWN: Final = 12

STABLE_BELOW: Final = 0.25
"""PSI above which a column has shifted (Siddiqi 2006, chapter 9)."""


def write_source_report(path: Path, *, source: str, judgement: Judgement, made_at: datetime) -> None:
    """Write the report as HTML."""
    costs = sum(found.offer.cost_per_year for found in judgement.sources if found.offer.name in judgement.chosen)
    widest = max(
        [abs(found.gain_low) for found in judgement.sources] + [found.gain_high for found in judgement.sources]
    )
    content: dict[str, Any] = {
        "source": source,
        "judgement": judgement,
        "chosen_cost": costs,
        "rows": [_row(found, judgement, widest or 1.0) for found in judgement.sources],
        "shown": _COLUMNS_SHOWN,
        "stable_below": STABLE_BELOW,
    }
    write_page(path, "reporting", "source_quality", made_at, content)


def _row(found: SourceQuality, judgement: Judgement, widest: float) -> dict[str, Any]:
    """A source with where its gain and the bounds of it stand on a line from -widest to widest, in percent."""
    places = {name: 50 + 50 * value / widest for name, value in (
        ("low", found.gain_low), ("gain", found.gain), ("high", found.gain_high)
    )}  # fmt: skip
    return {"quality": found, "chosen": found.offer.name in judgement.chosen, **places}

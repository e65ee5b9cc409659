"""A whitelist as a page: who was left out and why, what is offered, what each cap costs, the offers that come first."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl
from markupsafe import Markup

from group.page import page_text
from training.validation.pictures import Picture, bars_of_groups
from training.whitelist.eligibility import EXCLUSIONS
from training.whitelist.kept import KeptWhitelist, Offer

_SHOWN: Final = 25
_SHOWN_CAPS: Final = 12


def whitelist_page(kept: KeptWhitelist, offers: Sequence[Offer]) -> str:
    """The page of a version with all its offers, those held out among them."""
    frame = pl.DataFrame(
        {
            "company": [offer.legal_entity for offer in offers],
            "product": [offer.product for offer in offers],
            "channel": [offer.channel for offer in offers],
            "grade": [offer.grade for offer in offers],
            "limit": [float(offer.credit_limit) for offer in offers],
            "profit": [offer.expected_profit for offer in offers],
            "held_out": [offer.held_out for offer in offers],
        },
        schema={
            "company": pl.String, "product": pl.String, "channel": pl.String, "grade": pl.String, "limit": pl.Float64,
            "profit": pl.Float64, "held_out": pl.Boolean,
        },
    )  # fmt: skip
    manifest = kept.manifest
    content: dict[str, Any] = {
        "kept": kept,
        "budget": float(frame["limit"].sum()),
        "profit": float(frame["profit"].sum()),
        "steps": _steps(kept),
        "products": _summed(frame, ["company", "product"]),
        "channels": _summed(frame, ["channel"]),
        "grades": _summed(frame, ["grade"]),
        # Caps that bind first; of the others, those that are nearest to it.
        "prices": sorted(
            manifest["shadow_prices"],
            key=lambda one: (-one["price"], -one["used"] / one["allowed"] if one["allowed"] else 0.0),
        )[:_SHOWN_CAPS],
        "first": offers[:_SHOWN],
        "picture": Markup(_picture(frame).svg),  # noqa: S704 - our own drawing
    }
    return page_text("training", "whitelist", kept.made_at, content)


def _steps(kept: KeptWhitelist) -> list[tuple[str, str, int]]:
    """From all that were seen to those on the list, each step with what it took away."""
    manifest = kept.manifest
    counts = manifest["left_out"]
    left_out = [(*words, -counts[name]) for name, words in EXCLUSIONS.items() if name in counts]
    return [
        ("可见客户（公司×客户）", "seen, a company and a party each", manifest["seen"]),
        *left_out,
        (
            "名额、预算等上限内未获分配",
            "eligible, but the caps or what it earns leave nothing",
            -manifest["not_allocated"],
        ),
        ("名单内", "on the list", kept.offers),
        ("其中随机留存、不联系", "held out at random of these, not to be contacted", kept.held_out),
    ]


def _summed(frame: pl.DataFrame, by: list[str]) -> list[dict[str, Any]]:
    sums = frame.group_by(by).agg(
        pl.len().alias("offers"), pl.col("limit").sum(), pl.col("profit").sum(), pl.col("held_out").sum()
    )
    return sums.sort("profit", *by, descending=[True, *(False for _ in by)]).to_dicts()


def _picture(frame: pl.DataFrame) -> Picture:
    sums = _summed(frame, ["grade"])
    ordered = sorted(sums, key=lambda one: (len(one["grade"]), one["grade"]))
    return bars_of_groups(
        "Limits by rating grade",
        "CNY",
        [one["grade"] for one in ordered],
        {"limits": [one["limit"] for one in ordered]},
    )

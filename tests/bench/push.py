"""How soon a pushed transaction is online: from the call to the value that a reader gets."""

import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from features import PushTarget, feast_home, online_reader, push
from features.place import PROJECT
from group.settings import load_settings
from pipelines.jobs.features import build_features
from pipelines.progress import Silence
from pipelines.workspace import Workspace
from tests.bench.groups import a_group

_FEATURE = "outflow_sum_7d"


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """Push a transaction of one customer after the other; ``scale`` below 1 takes the small group."""
    settings = load_settings({"JINKONG_HOME": str(folder / "home")})
    canonical = a_group(settings, scale)
    build_features(settings, Silence())
    target = PushTarget(
        canonical, Workspace.of(settings).features, settings.online_store_url, feast_home(settings), PROJECT
    )
    reader = online_reader(settings, [_FEATURE])
    parties = pl.read_parquet(canonical / "parties" / "*.parquet").filter(kind="person").head(rounds)
    seconds = []
    for number, customer in enumerate(parties.to_dicts()):
        key = (customer["legal_entity"], customer["party_id"])
        event = {
            "legal_entity": customer["legal_entity"], "customer_id": customer["customer_id"],
            "transaction_id": f"PUSHED-{number}", "account_id": "A1", "amount": "12.30", "currency": "CNY",
            "direction": "out", "event_timestamp": datetime.now(UTC).isoformat(),
        }  # fmt: skip
        began = time.perf_counter()
        push(target, "transactions", [event])
        online = reader.read([key]).values[0, 0]
        seconds.append(time.perf_counter() - began)
        if online < 1:
            raise AssertionError(f"{key}: the pushed transaction is not online")
    return {"seconds_to_fresh": median(seconds), "seconds": seconds}

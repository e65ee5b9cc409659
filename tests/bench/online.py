"""Online reads of 40 features: ``OnlineReader`` against ``get_online_features(...).to_dict()``."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import FeatureService, FeatureStore

from features.catalogue import VIEWS, View
from features.definitions import ENTITIES, feature_views
from features.online.layout import write_layout
from features.online.reader import open_reader
from features.place import feast_home
from features.store import layout_of, open_store
from features.windows import WindowView
from group.libraries import hushed
from group.settings import load_settings
from tests.bench.timing import medians, ratio
from tests.conftest import running_redis

PARTIES = 5_000
FEATURES = {"repayment": 14, "cash_flow": 14, "bureau": 12}
"""Features of each view: the first so many of the catalogue's."""
REPEATS = {1: 200, 100: 20, 1_000: 4}
"""Reads of one timed round, by the number of parties: a round must take more than the clock's grain."""

SERVICE = "bench"
JANUARY = datetime(2025, 1, 1, tzinfo=UTC)


def measure(folder: Path, rounds: int, scale: float) -> dict[str, Any]:
    """On SQLite and on Redis, for one, a hundred and a thousand parties."""
    with running_redis(folder) as redis_url:
        return {
            kind: on_one_store(folder / kind, url, rounds, round(PARTIES * scale))
            for kind, url in (("sqlite", ""), ("redis", redis_url))
        }


def on_one_store(home: Path, url: str, rounds: int, parties: int) -> dict[str, Any]:
    """Fill the store through Feast, check that both readers agree, and time them in turn."""
    settings = load_settings({"JINKONG_HOME": str(home), "JINKONG_ONLINE_STORE_URL": url})
    store, names = filled(settings.home, open_store(settings), parties)
    reader = open_reader(settings.online_store_url, feast_home(settings), names, SERVICE)
    service = store.get_feature_service(SERVICE)
    random = np.random.default_rng(5)
    result: dict[str, Any] = {"parties_online": parties, "features": len(names)}
    for count, repeats in REPEATS.items():
        asked = [[party_of(int(number)) for number in random.choice(parties, count)] for _ in range(repeats)]

        def by_feast(asked: list[list[tuple[str, str]]] = asked) -> list[dict[str, list[Any]]]:
            return [
                store.get_online_features(
                    service, [{"legal_entity": entity, "party_id": party} for entity, party in some]
                ).to_dict()
                for some in asked
            ]

        def by_reader(asked: list[list[tuple[str, str]]] = asked) -> list[Any]:
            return [reader.read(some) for some in asked]

        for theirs, ours in zip(by_feast(), by_reader(), strict=True):
            wanted = np.array([theirs[name] for name in names], dtype=np.float64).T
            assert np.ascontiguousarray(wanted).tobytes() == ours.values.tobytes(), "the readers differ"
        times = medians(rounds, feast=by_feast, reader=by_reader)
        result[f"parties_{count}"] = {
            "values_equal": True,
            "feast_over_reader": ratio(times, "feast", "reader"),
            "milliseconds_a_read": {name: 1e3 * side["median"] / repeats for name, side in times.items()},
            "times": times,
        }
    return result


def filled(home: Path, store: FeatureStore, parties: int) -> tuple[FeatureStore, list[str]]:
    """Three of the catalogue's views, cut to 40 features in all, with values for ``parties``."""
    chosen = [cut(view, FEATURES[view.name]) for view in VIEWS if view.name in FEATURES]
    in_feast = feature_views(chosen, home / "features")
    random = np.random.default_rng(1)
    keys = pd.DataFrame([party_of(number) for number in range(parties)], columns=["legal_entity", "party_id"])
    with hushed():
        store.apply([*ENTITIES, *in_feast, FeatureService(name=SERVICE, features=in_feast)])
        for view in chosen:
            frame = keys.assign(event_timestamp=JANUARY, created_timestamp=JANUARY)
            frame[view.feature_names] = random.normal(size=(parties, len(view.features)))
            store.write_to_online_store(view.name, frame)
    layout = layout_of(store, SERVICE)
    write_layout(layout, Path(store.config.repo_path))
    return store, layout.features


def cut(view: View, features: int) -> View:
    """The view with its first so many features alone."""
    declared = view.declared
    assert isinstance(declared, WindowView)
    windowed = declared.windowed[:features]
    return replace(
        view, declared=replace(declared, windowed=windowed, derived=declared.derived[: features - len(windowed)])
    )


def party_of(number: int) -> tuple[str, str]:
    """Like the product's keys."""
    return ("consumer", "credit", "leasing")[number % 3], f"P{number:011d}"

"""What is kept of the frame that a model was trained on."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bins import bin_counts, bin_edges, stability_index
from group.settings import Settings
from training import ModelTampered, NoReference, RegisteredModel, latest_candidate, reference_of
from training.reference import (
    FEATURE,
    PROBABILITY,
    PROFILE_FILE,
    ROWS_FILE,
    ReferenceRows,
    column_profile,
    folder_sha256,
    read_reference,
    write_reference,
)
from training.registered import REFERENCE_SHA256_TAG
from training.registry import registry_client

_VALUES = st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=60)


def _frame(rows: int) -> ReferenceRows:
    rng = np.random.default_rng(7)
    outcome = (rng.random(rows) < 0.2).astype(float)
    fold = np.where(np.arange(rows) % 4 == 0, "test", "train")
    keys = pl.DataFrame({"fold": fold, "outcome": outcome, PROBABILITY: rng.random(rows)})
    features = pl.DataFrame({"income": rng.lognormal(size=rows), "job": rng.choice(["a", "b", "c"], rows)})
    return ReferenceRows(keys, features)


@given(values=_VALUES)
@settings(deadline=None)
def test_each_row_is_in_one_bin_and_the_missing_are_apart(values: list[float | None]) -> None:
    profile = column_profile(pl.Series("x", values, pl.Float64))
    assert profile.rows == len(values)
    assert profile.counts[-1] == values.count(None)
    present = [value for value in values if value is not None]
    for place, edge in enumerate(profile.edges):
        assert sum(profile.counts[: place + 1]) == sum(value < edge for value in present)
    if present:
        assert (profile.lowest, profile.highest) == (min(present), max(present))


def test_infinite_values_and_nothing_but_missing_ones_have_a_profile_that_is_json() -> None:
    infinite = column_profile(pl.Series("x", [1.0, 2.0, math.inf, None]))
    assert (infinite.lowest, infinite.highest, infinite.rows) == (1.0, 2.0, 4)
    nothing = column_profile(pl.Series("x", [None, None], pl.Float64))
    assert (nothing.counts, nothing.edges, nothing.lowest, nothing.missing_share) == ((0, 2), (), None, 1.0)
    json.dumps([infinite.counts, nothing.counts], allow_nan=False)


def test_texts_have_a_bin_each_but_the_rare() -> None:
    values = [f"c{number:02d}" for number in range(40) for _ in range(41 - number)]
    profile = column_profile(pl.Series("job", [*values, None]))
    assert profile.categories[:2] == ("c00", "c01")
    assert len(profile.categories) == 30
    assert profile.counts[-2:] == (sum(41 - number for number in range(30, 40)), 1)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200))
@settings(deadline=None)
def test_the_same_rows_have_a_stability_index_of_nothing(values: list[float]) -> None:
    column = np.array(values)
    counts = bin_counts(column, bin_edges(column))
    assert counts.sum() == len(values)
    assert stability_index(counts, counts) == 0.0
    assert stability_index(counts, counts[::-1]) >= 0.0


def test_profiles_are_of_all_training_rows_even_where_files_hold_a_part(tmp_path: Path) -> None:
    frame = _frame(1_000)
    digest = write_reference(tmp_path, frame, most_cells=600)
    found = read_reference(tmp_path)
    assert (found.rows, found.kept_rows, found.sha256) == (1_000, 200, digest)
    assert [column.name for column in found.columns] == ["feature:income", "feature:job", PROBABILITY]
    assert {column.rows for column in found.columns} == {750}
    assert pl.read_parquet(found.rows_file).equals(frame.together().gather_every(5))


def test_a_champions_frame_comes_back_from_the_registry_as_it_was(trained_settings: Settings, tmp_path: Path) -> None:
    registered = latest_candidate(trained_settings, "credit_pd")
    assert registered is not None
    found = reference_of(registered, trained_settings, tmp_path / "reference")
    rows = pl.read_parquet(found.rows_file)
    frame = pl.read_parquet(trained_settings.home / "training" / "frame.parquet")
    assert rows.height == frame.height == found.rows == found.kept_rows
    columns = [f"{FEATURE}{name}" for name in registered.model.read_columns]
    assert [column.name for column in found.columns] == [*columns, PROBABILITY]
    test = rows.filter(fold="test")
    given_again = registered.model.probability(test.select(columns).to_numpy())
    assert test[PROBABILITY].to_numpy() == pytest.approx(given_again, abs=0)
    training = rows.filter(fold="train")
    # Trees that never saw a row say less of it than those that did, and are right in the mean all the same.
    assert training[PROBABILITY].mean() == pytest.approx(training["outcome"].mean(), rel=0.1)


def test_a_copy_that_was_damaged_is_fetched_again(trained_settings: Settings, tmp_path: Path) -> None:
    registered = _latest(trained_settings)
    folder = tmp_path / "reference"
    digest = reference_of(registered, trained_settings, folder).sha256
    (folder / ROWS_FILE).write_bytes(b"no Parquet")
    assert reference_of(registered, trained_settings, folder).sha256 == digest
    assert folder_sha256(folder) == digest


def test_a_reference_that_was_changed_in_the_registry_is_refused(trained_settings: Settings, tmp_path: Path) -> None:
    registered = _latest(trained_settings)
    with registry_client(trained_settings) as client:
        before = client.get_model_version(registered.name, registered.version).tags[REFERENCE_SHA256_TAG]
        client.set_model_version_tag(registered.name, registered.version, REFERENCE_SHA256_TAG, "0" * 64)
    try:
        with pytest.raises(ModelTampered, match="was changed after it was registered"):
            reference_of(registered, trained_settings, tmp_path / "reference")
        with registry_client(trained_settings) as client:
            client.delete_model_version_tag(registered.name, registered.version, REFERENCE_SHA256_TAG)
        with pytest.raises(NoReference, match="Train again to have it watched"):
            reference_of(registered, trained_settings, tmp_path / "reference")
    finally:
        with registry_client(trained_settings) as client:
            client.set_model_version_tag(registered.name, registered.version, REFERENCE_SHA256_TAG, before)


def _latest(settings: Settings) -> RegisteredModel:

    found = latest_candidate(settings, "credit_pd")
    assert found is not None
    return found


def test_profiles_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_reference(tmp_path, _frame(200))
    again = tmp_path / "again"
    again.mkdir()
    write_reference(again, _frame(200))
    assert (tmp_path / PROFILE_FILE).read_text() == (again / PROFILE_FILE).read_text()
    assert read_reference(tmp_path).columns == read_reference(again).columns

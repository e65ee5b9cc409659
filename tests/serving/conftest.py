"""The API over the champion of the small group, with a state database of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from group.settings import Settings
from pipelines.workspace import Workspace
from tests.serving.calling import calling
from tests.serving.homes import copied_home


@pytest.fixture
def api_settings(trained_settings: Settings, tmp_path: Path) -> Settings:
    return trained_settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'state.db'}"})


@pytest.fixture
def client(api_settings: Settings) -> Iterator[TestClient]:
    with calling(api_settings) as made:
        yield made


@pytest.fixture(scope="session")
def known_parties(trained_settings: Settings) -> pl.DataFrame:
    """``legal_entity, party_id`` of everybody who is online."""
    newest = sorted((Workspace.of(trained_settings).features / "profile").glob("*.parquet"))[-1]
    return pl.read_parquet(newest, columns=["legal_entity", "party_id"]).sort("legal_entity", "party_id")


@pytest.fixture
def home(trained_settings: Settings, tmp_path: Path) -> Settings:
    """A copy of the small group's registry and definitions, to be changed."""
    return copied_home(trained_settings, tmp_path / "home")


@pytest.fixture
def home_with_data(trained_settings: Settings, tmp_path: Path) -> Settings:
    """The same with its tables and features."""
    return copied_home(trained_settings, tmp_path / "home", with_data=True)

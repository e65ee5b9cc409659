"""Who may become champion: one test for each hard limit, the second person, the audit log, the way back."""

from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import pytest
from sqlalchemy import Engine

from group.audit import verify
from group.database import migrate, open_database, reading
from group.settings import Settings, load_settings
from training import Candidate, NoChampion, RegisteredModel, champion, register
from training.approval import approvals, approve, champions_so_far, roll_back, unmet_limits
from training.errors import NoEarlierChampion, PromotionRefused, RegistryUnavailable
from training.model import Task
from training.validation.limits import Limit, read_limits

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LIMITS = read_limits()
HARD = [(task, limit) for limit in LIMITS.limits if limit.hard for task in limit.tasks]


def within(limit: Limit) -> float:
    """A figure that meets the limit."""
    return next(bound for bound in (limit.at_least, limit.at_most, (limit.between or (None,))[0]) if bound is not None)


def beyond(limit: Limit) -> list[float]:
    """Figures that miss it, on each side that it has."""
    low, high = limit.between or (limit.at_least, limit.at_most)
    return [*([low - 1e-6] if low is not None else []), *([high + 1e-6] if high is not None else [])]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A real MLflow, and a state database beside it."""
    settings = load_settings({}).at(tmp_path_factory.mktemp("home"))
    engine = open_database(settings.state_url)
    migrate(engine)
    engine.dispose()
    return settings


def registered(
    candidate: Candidate, settings: Settings, figures: dict[str, float], name: str = "credit_pd", task: Task = "credit"
) -> RegisteredModel:
    """A version whose report holds these figures."""
    changed = replace(
        candidate, name=name, model=replace(candidate.model, task=task), pictures={}, scorecard=None,
        validation=replace(candidate.validation, figures=figures),
    )  # fmt: skip
    return register(changed, settings, source="a test")


def in_service(settings: Settings, name: str) -> str | None:
    """The champion's version."""
    try:
        return champion(settings, name).version
    except NoChampion:
        return None


def good_figures(task: Task) -> dict[str, float]:
    return {limit.measure: within(limit) for limit in LIMITS.limits if task in limit.tasks}


@pytest.mark.parametrize(("task", "limit"), HARD, ids=[f"{task}-{limit.measure}" for task, limit in HARD])
def test_a_candidate_that_misses_a_hard_limit_by_a_hair_cannot_take_the_alias(
    registry: Settings, candidate: Candidate, task: Task, limit: Limit
) -> None:
    engine = open_database(registry.state_url)
    name = f"{task}_{limit.measure}"
    for figure in [*beyond(limit), float("nan")]:
        missing_it = registered(candidate, registry, good_figures(task) | {limit.measure: figure}, name, task)
        with pytest.raises(PromotionRefused, match="cannot become champion: ") as refused:
            approve(missing_it, registry, engine, by="Bob Li", reason="good", at=NOON)
        assert limit.en in str(refused.value)
    assert in_service(registry, name) is None
    with reading(engine) as connection:
        assert champions_so_far(connection, name) == []
    engine.dispose()


@pytest.mark.parametrize("task", ["credit", "response"])
def test_one_that_meets_every_hard_limit_to_the_digit_takes_it_and_soft_ones_only_warn(
    registry: Settings, candidate: Candidate, engine: Engine, task: Task
) -> None:
    soft = [limit for limit in LIMITS.limits if not limit.hard and task in limit.tasks]
    figures = good_figures(task) | {limit.measure: beyond(limit)[0] for limit in soft}
    version = registered(candidate, registry, figures, f"good_{task}", task)
    assert unmet_limits(version, registry) == []
    approve(version, registry, engine, by="Bob Li", reason="good", at=NOON)
    assert in_service(registry, f"good_{task}") == version.version


@pytest.mark.parametrize("by", ["Alice Wang", " alice  wang ", "ALICE WANG", "", "  "])
def test_who_trained_cannot_approve_and_neither_can_nobody(
    registry: Settings, candidate: Candidate, engine: Engine, by: str
) -> None:
    version = registered(candidate, registry, good_figures("credit"), "four_eyes")
    with pytest.raises(PromotionRefused):
        approve(version, registry, engine, by=by, reason="good", at=NOON)
    with pytest.raises(PromotionRefused):
        approve(version, registry, engine, by="Bob Li", reason=" ", at=NOON)
    assert in_service(registry, "four_eyes") is None


def test_approvals_and_roll_backs_are_on_record_and_lead_back_one_by_one(
    settings: Settings, candidate: Candidate, engine: Engine
) -> None:
    good = good_figures("credit")

    def back() -> str:
        return roll_back("credit_pd", settings, engine, by="Cao", reason="complaints", at=NOON).version

    def forth(version: RegisteredModel) -> None:
        approve(version, settings, engine, by="Bob Li", reason=f"better {version.version}", at=NOON)

    first, second, third, fourth = (registered(candidate, settings, good) for _ in range(4))
    with pytest.raises(NoEarlierChampion):
        back()
    for version in (first, second, third):
        forth(version)
    forth(registered(candidate, settings, good, "credit_pd_x"))
    assert back() == in_service(settings, "credit_pd") == "2"
    forth(fourth)
    assert back() == in_service(settings, "credit_pd") == "2"
    assert back() == in_service(settings, "credit_pd") == "1"
    with pytest.raises(NoEarlierChampion):
        back()
    with reading(engine) as connection:
        seen = [(row["by"], row["action"], row["version"]) for row in approvals(connection, "credit_pd")]
    assert seen == [
        ("Bob Li", "model.promoted", "1"), ("Bob Li", "model.promoted", "2"), ("Bob Li", "model.promoted", "3"),
        ("Cao", "model.rolled_back", "2"), ("Bob Li", "model.promoted", "4"), ("Cao", "model.rolled_back", "2"),
        ("Cao", "model.rolled_back", "1"),
    ]  # fmt: skip
    assert verify(engine) is None


def test_what_the_registry_does_not_take_is_not_on_record(
    settings: Settings, candidate: Candidate, engine: Engine
) -> None:
    version = registered(candidate, settings, good_figures("credit"))
    client = mlflow.MlflowClient(settings.tracking_uri)
    client.delete_model_version(version.name, version.version)
    with pytest.raises(RegistryUnavailable):
        approve(version, settings, engine, by="Bob Li", reason="good", at=NOON)
    with reading(engine) as connection:
        assert champions_so_far(connection, "credit_pd") == []

"""Approve a version, or roll back: open what that takes, and record who did it."""

from datetime import UTC, datetime

from group.database import migrated
from group.settings import Settings
from training import (
    NoChampion,
    RegisteredModel,
    approve,
    challenge,
    challenger,
    champion,
    end_challenge,
    latest_candidate,
    model_version,
    roll_back,
)


def approve_latest(
    settings: Settings, name: str, *, by: str, reason: str, version: str | None = None
) -> RegisteredModel:  # fmt: skip
    """Make ``version`` of a model champion; the one trained last if None. One that is champion already stays it.

    Raises:
        NoChampion: the registry has no such model.
        PromotionRefused: it may not be.
        RegistryUnavailable: MLflow does not answer, or has no such version.
    """
    found = model_version(version, settings, name) if version else latest_candidate(settings, name)
    if found is None:
        raise NoChampion(f"The registry has no model '{name}'; `jinkong models list` shows what there is.")
    if found.approved_by and _is_champion(found, settings):
        return found
    with migrated(settings.state_url) as engine:
        approve(found, settings, engine, by=by, reason=reason, at=datetime.now(UTC))
    return found


def roll_back_model(settings: Settings, name: str, *, by: str, reason: str) -> RegisteredModel:
    """Make the champion before the present one champion again.

    Raises:
        NoEarlierChampion: there was none.
    """
    with migrated(settings.state_url) as engine:
        return roll_back(name, settings, engine, by=by, reason=reason, at=datetime.now(UTC))


def try_beside(
    settings: Settings, name: str, *, share: float, by: str, reason: str, version: str | None = None
) -> RegisteredModel:
    """Make ``version`` of a model the challenger; the one trained last if None.

    Raises:
        NoChampion: the registry has no such model.
        PromotionRefused: it may not be.
    """
    found = model_version(version, settings, name) if version else latest_candidate(settings, name)
    if found is None:
        raise NoChampion(f"The registry has no model '{name}'; `jinkong models list` shows what there is.")
    with migrated(settings.state_url) as engine:
        challenge(found, settings, engine, share=share, by=by, reason=reason, at=datetime.now(UTC))
    return found


def try_no_more(settings: Settings, name: str, *, by: str, reason: str) -> RegisteredModel:
    """End the trial of a model's challenger.

    Raises:
        NoChampion: there is none.
    """
    found = challenger(settings, name)
    if found is None:
        raise NoChampion(f"No version of '{name}' is tried beside the champion.")
    with migrated(settings.state_url) as engine:
        end_challenge(found, settings, engine, by=by, reason=reason, at=datetime.now(UTC))
    return found


def _is_champion(found: RegisteredModel, settings: Settings) -> bool:
    try:
        return champion(settings, found.name).version == found.version
    except NoChampion:
        return False

"""Reasons: every credit feature has one, at most four are told, and a tiny change of a row changes none."""

import numpy as np
import pytest

from features import VIEWS, reason_of
from features.catalogue import CREDIT_VIEWS
from group.settings import Settings
from pipelines.workspace import Workspace
from training import Explainer, ReasonBook, champion, matrix
from training.candidates import Candidate


@pytest.mark.parametrize("view", CREDIT_VIEWS)
def test_every_feature_that_credit_may_rest_on_has_a_reason_in_both_languages(view: str) -> None:
    [declared] = [one for one in VIEWS if one.name == view]
    for name in declared.feature_names:
        reason = reason_of(name)
        assert reason is not None, name
        assert any("\u4e00" <= letter <= "\u9fff" for letter in reason.zh)
        assert reason.en.isascii()


def test_no_feature_outside_credit_has_one_and_codes_are_unique() -> None:
    reasons = {reason_of(name) for view in VIEWS for name in view.feature_names if view.name in CREDIT_VIEWS}
    codes = [reason.code for reason in reasons if reason is not None]
    assert len(codes) == len(set(codes))
    assert reason_of("contact_count_90d") is None


def test_contributions_of_one_subject_are_one_reason_and_the_least_are_none(candidate: Candidate) -> None:
    book = ReasonBook(candidate.model)
    contributions = np.array([0.04, 0.30, 0.20, -2.0])
    told, none = book.reasons_for(np.array([contributions, -contributions])).each()
    assert [(reason["code"], round(reason["weight"], 2)) for reason in told] == [
        ("income", 0.3),
        ("many_inquiries", 0.2),
    ]
    assert none == []
    assert [reason["code"] for reason in book.reasons_for(contributions[None], most=1).each()[0]] == ["income"]


def test_reasons_of_a_row_are_the_same_alone_and_among_others(candidate: Candidate) -> None:
    book = ReasonBook(candidate.model)
    contributions = np.random.default_rng(4).normal(size=(200, 4))
    together = book.reasons_for(contributions).each()
    assert together == [book.reasons_for(row[None]).each()[0] for row in contributions]
    assert len({tuple(reason["code"] for reason in row) for row in together}) > 3


@pytest.mark.long
def test_a_tiny_change_of_a_row_changes_no_reason(trained_settings: Settings) -> None:
    import polars as pl

    model = champion(trained_settings).model
    frame = pl.read_parquet(Workspace.of(trained_settings).frame).sample(400, seed=1)
    rows = matrix(frame, model.features)
    explainer, book = Explainer(model.booster), ReasonBook(model)

    def codes(asked: np.ndarray) -> list[list[str]]:
        return [[reason["code"] for reason in row] for row in book.reasons_for(explainer.contributions(asked)).each()]

    before = codes(rows)
    rng = np.random.default_rng(2)
    assert codes(rows * (1 + 1e-12 * rng.uniform(-1, 1, rows.shape))) == before
    nudged = codes(rows * (1 + 1e-4 * rng.uniform(-1, 1, rows.shape)))
    same = np.mean([set(one) == set(other) for one, other in zip(before, nudged, strict=True)])
    assert same >= 0.97
    assert all(len(one) <= 4 for one in before)
    assert np.mean([len(one) > 0 for one in before]) > 0.5

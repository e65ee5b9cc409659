"""The watch over models, end to end: from the audit log, or from past months, to alarms, pages and cases."""

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sqlalchemy import select

from group.audit import AuditEvent, append_all
from group.database import migrated
from group.settings import Settings
from pipelines.jobs.monitoring import Monitored, monitor
from pipelines.jobs.scored_rows import collect_scores, replay_scores
from pipelines.progress import Silence
from pipelines.workspace import Workspace
from reporting.monitoring.kept import monitor_columns, monitor_figures, monitor_periods
from reporting.monitoring.periods import PeriodKind
from reporting.monitoring.scored import ScoredFiles, WatchedModel
from serving.decisions import SCORE_GIVEN, SCORES_GIVEN, decision_payload, new_decision_id, part_payload
from serving.scorer import Scorer
from tests.pipelines.in_process import jinkong
from tests.serving.homes import copied_home
from training import MODEL_NAME, RegisteredModel, champion, matrix
from training.reference import FEATURE, PROBABILITY

Matrix = npt.NDArray[np.float64]
MONTHS: Final[tuple[PeriodKind, ...]] = ("month",)
_AT = datetime(2026, 1, 7, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def watched(trained_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose champion scored the books of January and of the second half of 2025, replayed."""
    settings = copied_home(trained_settings, tmp_path_factory.mktemp("watched") / "home", with_data=True)
    for first, last in ((date(2025, 1, 1), date(2025, 1, 1)), (date(2025, 7, 1), date(2026, 1, 1))):
        replay_scores(settings, champion(settings), first, last, Silence())
    return settings


@pytest.fixture(scope="module")
def the_months(watched: Settings) -> Monitored:
    """What its last months say."""
    return monitor(watched, date(2025, 10, 1), date(2026, 1, 31), Silence(), kinds=MONTHS, pages=False)


@pytest.fixture
def home(trained_settings: Settings, tmp_path: Path) -> Settings:
    """A home of the test's own, without any scores."""
    return copied_home(trained_settings, tmp_path / "home", with_data=True)


def _latest_rows(settings: Settings, registered: RegisteredModel, count: int) -> pl.DataFrame:
    frame = pl.read_parquet(settings.home / "features" / "profile" / "as_of_20260101T000000.parquet")
    return frame.select("legal_entity", "party_id").filter(legal_entity="consumer").head(count)


def _logged(settings: Settings, registered: RegisteredModel, parties: Sequence[str], at: datetime) -> Matrix:
    """Put scores of made-up rows on record: the first alone, the others as a batch. Returns their values."""
    model = registered.model
    values = np.random.default_rng(len(parties)).normal(size=(len(parties), len(model.features)))
    values[:, 0] = np.nan
    rows = [[None if np.isnan(value) else float(value) for value in row] for row in values]
    scorer = Scorer(registered)
    single = scorer.score_values(rows[:1]).each()[0]
    request = {"legal_entity": "consumer", "party_id": parties[0]}
    alone = decision_payload(request, registered, single)
    together = part_payload("consumer", registered, parties[1:], scorer.score_values(rows[1:]))
    events = [
        AuditEvent("consumer", "lending", SCORE_GIVEN, new_decision_id(at), alone),
        AuditEvent("consumer", "lending", SCORES_GIVEN, new_decision_id(at), together),
        AuditEvent("consumer", "lending", "account.signed_in", "lending", {}),
    ]
    with migrated(settings.state_url) as engine, engine.begin() as connection:
        append_all(connection, events, at)
    return values


def test_scores_leave_the_log_as_they_were_seen_and_once(home: Settings) -> None:
    registered = champion(home)
    parties = _latest_rows(home, registered, 6)["party_id"].to_list()
    values = _logged(home, registered, parties, _AT)
    model = WatchedModel(MODEL_NAME, registered.version)
    assert collect_scores(home, Silence()).rows == {model: 6}
    assert collect_scores(home, Silence()).rows == {}
    files = ScoredFiles(Workspace.of(home).scored)
    [path] = files.files(model, _AT.date(), date(2026, 2, 1))
    rows = pl.read_parquet(path).sort(pl.col("party_id").replace_strict(parties, range(6)))
    assert rows["party_id"].to_list() == parties
    assert rows["scored_at"].unique().to_list() == [_AT]
    assert sorted(rows["origin"]) == ["batch"] * 5 + ["single"]
    seen = rows.select(f"{FEATURE}{name}" for name in registered.model.features)
    assert np.array_equal(matrix(seen, seen.columns), values, equal_nan=True)
    assert rows[PROBABILITY].to_list() == registered.model.probability(values).tolist()
    # Who they are is known of parties that the company knows.
    assert set(rows["kind"]) == {"person"}
    assert rows["product"].str.len_chars().sum() > 0


def test_a_collection_that_was_cut_off_is_done_again_and_nothing_is_there_twice(home: Settings) -> None:
    registered = champion(home)
    parties = _latest_rows(home, registered, 4)["party_id"].to_list()
    _logged(home, registered, parties, _AT)
    collect_scores(home, Silence())
    files = ScoredFiles(Workspace.of(home).scored)
    # As if the machine had stopped after the files were written and before it was noted how far they go.
    files.note_collected({})
    _logged(home, registered, parties, _AT.replace(hour=13))
    collect_scores(home, Silence())
    model = WatchedModel(MODEL_NAME, registered.version)
    rows = pl.concat([pl.read_parquet(path) for path in files.files(model, _AT.date(), date(2026, 2, 1))])
    assert rows.height == 8
    assert rows["decision_id"].n_unique() == 8


def test_an_unseen_version_a_missing_feature_and_few_rows_are_lines_of_the_report(home: Settings) -> None:
    registered = champion(home)
    parties = _latest_rows(home, registered, 5)["party_id"].to_list()
    _logged(home, RegisteredModel(registered.texts, MODEL_NAME, "77", "f" * 64, "", ""), parties, _AT)
    found = monitor(home, date(2026, 1, 7), date(2026, 1, 7), Silence(), pages=False)
    [stranger] = found.collected.strangers
    assert (stranger.name, stranger.version) == (MODEL_NAME, "77")
    [period] = found.periods
    assert (period.rows, period.judged, period.reference_sha256) == (5, False, None)
    assert [note.code for note in period.notes] == ["no_reference", "too_few"]
    done = jinkong("monitor", "--from", "2026-01-07", "--to", "2026-01-07", "--no-pages", home=home.home)
    assert done.returncode == 0, done.stderr
    assert "has no reference in the registry" in done.stdout


def test_a_feature_that_the_log_lacks_is_broken_and_named_first(watched: Settings, home: Settings) -> None:
    model = WatchedModel(MODEL_NAME, champion(watched).version)
    [path] = ScoredFiles(Workspace.of(watched).scored).files(model, date(2025, 8, 1), date(2025, 9, 1))
    rows = pl.read_parquet(path).drop(f"{FEATURE}income_per_month")
    ScoredFiles(Workspace.of(home).scored).write(model, rows, "lacking")
    found = monitor(home, date(2025, 8, 1), date(2025, 8, 31), Silence(), kinds=MONTHS, pages=False)
    first = found.periods[0].findings[0]
    assert (first.kind, first.subject, first.measure) == ("broken_feature", "income_per_month", "not_logged")
    assert "broken_feature" in {kept.alarm.kind for kept in found.alarms}


def test_values_that_the_store_does_not_give_are_skew_by_name(watched: Settings, home: Settings) -> None:
    model = WatchedModel(MODEL_NAME, champion(watched).version)
    [path] = ScoredFiles(Workspace.of(watched).scored).files(model, date(2025, 9, 1), date(2025, 10, 1))
    rows = pl.read_parquet(path).with_columns(pl.col(f"{FEATURE}age_years") + 1e-9)
    ScoredFiles(Workspace.of(home).scored).write(model, rows, "skewed")
    found = monitor(home, date(2025, 9, 1), date(2025, 9, 30), Silence(), kinds=MONTHS, pages=False)
    skewed = [finding.subject for finding in found.periods[0].findings if finding.kind == "skew"]
    assert skewed == ["age_years"]


def test_a_break_is_seen_beside_what_has_drifted_for_long(watched: Settings, home: Settings) -> None:
    model = WatchedModel(MODEL_NAME, champion(watched).version)
    files, own = ScoredFiles(Workspace.of(watched).scored), ScoredFiles(Workspace.of(home).scored)
    [august] = files.files(model, date(2025, 8, 1), date(2025, 9, 1))
    [september] = files.files(model, date(2025, 9, 1), date(2025, 10, 1))
    own.write(model, pl.read_parquet(august), "august")
    own.write(model, pl.read_parquet(september).with_columns(pl.col(f"{FEATURE}age_years") + 8), "september")
    found = monitor(home, date(2025, 9, 1), date(2025, 9, 30), Silence(), kinds=MONTHS, pages=False)
    by_kind: dict[str, list[str]] = {}
    for finding in found.periods[0].findings:
        by_kind.setdefault(finding.kind, []).append(finding.subject)
    assert by_kind["sudden_shift"][0] == "age_years"
    # Against training alone, it would be one of many.
    assert len(by_kind["sudden_shift"]) < 4
    assert len(by_kind["feature_drift"]) > 10
    [alarm] = [kept.alarm for kept in found.alarms if kept.alarm.kind == "sudden_shift"]
    assert "2025-08" in alarm.findings[0].en


def test_months_have_alarms_with_owners_a_page_and_figures_for_sql(watched: Settings, the_months: Monitored) -> None:
    months = [period.period.name for period in the_months.periods]
    assert months == ["2025-10", "2025-11", "2025-12", "2026-01"]
    assert all(period.judged for period in the_months.periods)
    kinds = {kept.alarm.kind for kept in the_months.alarms}
    assert "feature_drift" in kinds
    # What was replayed comes from the store, and is found there again to the bit.
    assert "skew" not in kinds
    assert {case.kind for case in the_months.cases} == kinds
    assert all(case.owner for case in the_months.cases)
    [page] = the_months.reports
    text = page.read_text()
    assert "特征漂移" in text
    assert the_months.alarms[0].alarm.findings[0].subject in text
    assert text.count("<svg") >= 4
    metrics = Workspace.of(watched).monitoring_metrics.read_text()
    assert 'jinkong_monitor_rows{model="credit_pd",period="month"' in metrics
    assert "jinkong_monitor_open_alarms" in metrics
    with migrated(watched.state_url) as engine, engine.connect() as connection:
        auc = connection.execute(
            select(monitor_figures.c.value).where(
                monitor_figures.c.name.in_(["expected_auc_then", "realised_auc"]), monitor_figures.c.of == "2025-01"
            )
        ).scalars().all()  # fmt: skip
    # What was expected of January 2025 without any outcome, and what came.
    assert len(auc) == 2
    assert abs(auc[0] - auc[1]) < 0.03


def test_looking_again_gives_the_same_figures_and_opens_no_second_case(
    watched: Settings, the_months: Monitored
) -> None:
    def kept() -> list[list[tuple[object, ...]]]:
        with migrated(watched.state_url) as engine, engine.connect() as connection:
            tables = (monitor_periods, monitor_columns, monitor_figures)
            return [
                sorted(
                    map(tuple, connection.execute(select(*(one for one in table.c if one.name != "made_at"))).all()),
                    key=str,
                )
                for table in tables
            ]

    before = kept()
    again = monitor(watched, date(2025, 11, 1), date(2025, 12, 31), Silence(), kinds=MONTHS, pages=False)
    assert [period.period.name for period in again.periods] == ["2025-11", "2025-12"]
    assert again.cases == []
    assert kept() == before


def test_a_month_without_rows_is_a_line_and_not_a_gap(watched: Settings, the_months: Monitored) -> None:
    found = monitor(watched, date(2026, 2, 1), date(2026, 2, 28), Silence(), kinds=MONTHS, pages=False)
    [period] = found.periods
    assert (period.rows, period.judged, [note.code for note in period.notes]) == (
        0, False, ["no_rows", "outcomes_late"],
    )  # fmt: skip
    # And it ends no alarm.
    assert {kept.alarm.kind for kept in found.alarms} >= {"feature_drift"}


def test_evidently_has_a_run_a_period_with_our_figures(watched: Settings, the_months: Monitored) -> None:
    from evidently.ui.workspace import Workspace as EvidentlyWorkspace

    for _ in range(2):
        monitor(watched, date(2025, 10, 1), date(2025, 10, 31), Silence(), kinds=MONTHS)
    workspace = EvidentlyWorkspace.create(str(Workspace.of(watched).evidently))
    [project] = workspace.list_projects()
    [run] = workspace.list_runs(project.id)
    snapshot = workspace.get_run(project.id, run)
    assert snapshot is not None
    drifts = {
        result.metric_value_location.metric.params["column"]: result.value
        for result in snapshot.metric_results.values()
        if hasattr(result, "value")
    }
    with migrated(watched.state_url) as engine, engine.connect() as connection:
        wanted = select(monitor_columns.c.subject, monitor_columns.c.stability_index).where(
            monitor_columns.c.begins == date(2025, 10, 1), monitor_columns.c.segment == "all"
        )
        kept = {row.subject: row.stability_index for row in connection.execute(wanted)}
    assert len(drifts) == 40
    for column, value in drifts.items():
        assert value == pytest.approx(kept[column.removeprefix(FEATURE)], abs=1e-12)


def test_a_case_starts_a_training_that_promotes_nothing(
    watched: Settings, the_months: Monitored, trained_settings: Settings
) -> None:
    shutil.copytree(trained_settings.home / "steps", watched.home / "steps", dirs_exist_ok=True)
    shutil.copytree(trained_settings.home / "training", watched.home / "training", dirs_exist_ok=True)
    before = champion(watched)
    case = next(case for case in the_months.cases if case.kind == "feature_drift")
    done = jinkong("monitor", "retrain", case.case_id[:8], home=watched.home)
    assert done.returncode == 0, done.stderr
    assert "nothing new came of it" in done.stdout
    assert champion(watched).version == before.version
    listed = jinkong("monitor", "cases", home=watched.home).stdout
    assert "in_work" in listed
    done = jinkong("monitor", "close", case.case_id[:8], "--reason", "watched on", "--by", "Li", home=watched.home)
    assert "is closed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "2025-02-01", "--to", "2025-01-01"), "lies before --from"),
        (("take", "nothing"), "There is no case 'nothing'"),
        (("close", "nothing", "--reason", "x"), "There is no case 'nothing'"),
        (("replay", "--from", "2025-02-01", "--to", "2025-01-01"), "lies before --from"),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_code_2(settings: Settings, arguments: tuple[str, ...], told: str) -> None:
    done = jinkong("monitor", *arguments, home=settings.home)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_home_without_scores_says_so(settings: Settings) -> None:
    done = jinkong("monitor", home=settings.home)
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is nothing to look at yet" in done.stdout
    done = jinkong("monitor", "ui", home=settings.home)
    assert done.returncode == 3
    assert "run `jinkong monitor`" in done.stderr

"""The jinkong command: help that teaches, one sentence for what is wrong, exit code 2, never a traceback."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from group.settings import Settings
from pipelines.command import main
from tests.conftest import free_port, started, wait_until
from tests.pipelines.in_process import jinkong


def refused(done: "subprocess.CompletedProcess[str]", says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("jinkong: ")
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert says in done.stderr


GOOD = "LIMIT_BAL,SEX\n" + "".join(f"{n},1\n" for n in range(2_000))
ZIPPED = gzip.compress(GOOD.encode())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "truncated.csv.gz",
            ZIPPED[: len(ZIPPED) // 2],
            "truncated.csv.gz is cut off: its compressed data end too early",
        ),
        ("truncated.csv", GOOD.encode()[:-3], "is cut off in the middle of line 2001"),
        ("empty.csv", b"", "empty.csv is empty; it should hold a table with a header"),
        ("gbk.csv", "LIMIT_BAL,备注\n1,好\n".encode("gbk"), "gbk.csv is not UTF-8: line 1 has the byte 0xb1"),
        ("other.csv", b"a,b\n1,2\n", "needs the columns CREDIT_LIMIT, SEX"),
        ("photo.jpeg", b"\xff\xd8\xff", "is of no format that is read here"),
    ],
)
def test_an_input_file_that_cannot_be_used_ends_in_one_sentence_and_code_2(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(jinkong("data", "--source", "uci-credit-card", "--path", str(path), home=tmp_path / "home"), says)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("truncated.csv.gz", ZIPPED[: len(ZIPPED) // 2], "is cut off"),
        ("empty.csv", b"", "is empty"),
        ("gbk.csv", "LIMIT_BAL,备注\n1,好\n".encode("gbk"), "is not UTF-8"),
    ],
)
def test_the_demo_refuses_such_a_file_in_the_same_way(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = jinkong("demo", "--source", "uci-credit-card", "--path", str(path), home=tmp_path / "home")
    refused(done, says)
    assert not (tmp_path / "home/demo/summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (
            ("data",),
            {"JINKONG_PORT": "many"},
            "The value of JINKONG_PORT is not allowed: it must be a whole number from 0 to",
        ),
        (("data",), {"JINKONG_PROT": "80"}, "JINKONG_PROT is not a setting; JINKONG_PORT is."),
        (("data", "--source", "uci-credit-card"), {}, "--source uci-credit-card needs --path, the CSV file."),
        (("data", "--path", "x.csv"), {}, "--path is for the UCI sources and folder"),
        (("data", "--source", "uci-credit-card", "--path", "absent.csv"), {}, "absent.csv is not there"),
        (("data", "--source", "folder", "--path", "."), {}, "needs --observed-until"),
        (
            ("data", "--source", "folder", "--path", "nowhere", "--observed-until", "2026-01-01"),
            {},
            "nowhere is no folder",
        ),
        (("demo", "--source", "folder", "--path", "."), {}, "for your own tables run data, features, train"),
        (("features",), {}, "run `jinkong data` first"),
        (("train",), {}, "run `jinkong features` first"),
        (("serve",), {"JINKONG_HOST": "0.0.0.0"}, "set JINKONG_TLS_CERTIFICATE"),  # noqa: S104 - must be refused
    ],
)
def test_a_call_that_cannot_be_done_says_what_would_be_right(
    arguments: tuple[str, ...],
    variables: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in ({"JINKONG_HOME": str(tmp_path / "home")} | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["jinkong", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.startswith("jinkong: ")
    assert printed.out == ""


@pytest.mark.parametrize("option", ["--size", "--source"])
def test_a_value_that_is_no_choice_ends_with_the_choices_and_code_2(tmp_path: Path, option: str) -> None:
    done = jinkong("demo", option, "huge", home=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {"--size": "'small', 'medium', 'large'", "--source": "'simulated', 'uci-credit-card'"}[option] in done.stderr


def test_help_names_every_command_and_what_it_is_for(tmp_path: Path) -> None:
    done = jinkong("--help", home=tmp_path)
    assert done.returncode == 0
    for command in ("data", "features", "train", "serve", "demo", "doctor"):
        assert f" {command} " in done.stdout
        own = jinkong(command, "--help", home=tmp_path)
        assert own.returncode == 0
        assert "Usage: " in own.stdout
    assert "JINKONG_HOME" in done.stdout


def test_a_home_in_which_another_process_works_is_left_alone(tmp_path: Path) -> None:
    from group.home import working_in

    with working_in(tmp_path):
        done = jinkong("data", home=tmp_path)
    assert done.returncode == 3
    assert "Another jinkong works in" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_write_that_fails_ends_in_one_sentence_and_the_next_run_starts_anew(tmp_path: Path) -> None:
    # A limit of 100 KiB on the size of a file fails a write as a full disk does.
    command = f"ulimit -f 100; exec {sys.executable} -m pipelines data"
    environment = os.environ | {"JINKONG_HOME": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "Step 'data' could not read or write a file" in done.stderr
    assert "File too large" in done.stderr
    assert not (tmp_path / "steps/data.json").exists()
    again = jinkong("data", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "data: done in" in again.stdout


def test_a_home_that_may_not_be_written_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = jinkong("data", home=tmp_path / "file" / "home")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "Check rights and room on the disk" in done.stderr


def test_own_tables_in_a_folder_are_loaded_and_a_bad_row_is_kept_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "customers.csv").write_text(
        "legal_entity,customer_id,kind,currency,marketing_consent,share_within_group_consent,event_timestamp,created_timestamp\n"
        "credit,C1,person,CNY,false,true,2024-01-01,2024-01-01\n"
        "credit,C2,robot,CNY,false,true,2024-01-01,2024-01-01\n"
    )
    (folder / "statements.csv").write_text(
        "legal_entity,customer_id,loan_id,statement_balance,amount_paid,currency,days_past_due,payment_behaviour,"
        "event_timestamp,created_timestamp\n"
        "credit,C1,L1,100.00,10.00,CNY,0,revolving,2024-06-26,2024-06-27\n"
    )
    (folder / "defaults.csv").write_text(
        "legal_entity,customer_id,loan_id,reason,event_timestamp,created_timestamp\n"
        "credit,C1,L1,90_days_past_due,2024-12-01,2024-12-02\n"
    )
    call = ("data", "--source", "folder", "--path", str(folder), "--observed-until", "2025-01-01")
    done = jinkong(*call, home=tmp_path / "home")
    assert done.returncode == 2
    assert (
        "Table 'customers': 1 of 2 rows were rejected (50.00%, allowed are 1.00%): 1 × kind: is one of" in done.stderr
    )
    done = jinkong(*call, home=tmp_path / "home", JINKONG_REJECTED_SHARE_LIMIT="0.5")
    assert done.returncode == 0, done.stderr
    assert "customers: 1 × kind: is one of person, enterprise" in done.stdout
    assert "1 customers are 1 parties; links: none" in done.stdout
    again = jinkong(*call, home=tmp_path / "home", JINKONG_REJECTED_SHARE_LIMIT="0.5")
    assert "data: unchanged, reused" in again.stdout


def test_the_feature_catalogue_is_printed_whole_or_by_view(tmp_path: Path) -> None:
    import json

    every = json.loads(jinkong("features", "docs", "--format", "json", home=tmp_path).stdout)
    assert len(every) >= 200
    assert {"view", "feature", "unit", "risk", "source_table", "description"} == set(every[0])
    shown = jinkong("features", "docs", "trade", home=tmp_path).stdout
    for row in every:
        assert (row["feature"] in shown) == (row["view"] == "trade"), row["feature"]
    markdown = jinkong("features", "docs", "trade", "--format", "markdown", home=tmp_path).stdout
    assert "| `overdue_invoice_sum_360d` | CNY | rises | Invoiced, due and not paid: sum over" in markdown
    refused(
        jinkong("features", "docs", "shoes", home=tmp_path), "no feature view 'shoes'; there are profile, repayment"
    )
    # Only reading: nothing was made.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_feasts_own_pages_show_what_was_registered(small_group_settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    command = [sys.executable, "-m", "pipelines", "features", "ui", "--port", str(port)]
    with started(command, log, JINKONG_HOME=str(small_group_settings.home)) as process:
        wait_until(lambda: "Uvicorn running" in log.read_text(), process, log)
        address = f"http://127.0.0.1:{port}"
        assert "<title>" in httpx.get(address).text
        views = httpx.get(f"{address}/api/v1/feature_views", params={"project": "jinkong"}).json()["featureViews"]
        taken = jinkong("features", "ui", "--port", str(port), home=small_group_settings.home)
    assert {view["spec"]["name"] for view in views} >= {"profile", "cash_flow", "trade"}
    assert taken.returncode == 3
    assert f"Port {port} is in use; give another one with --port." in taken.stderr


@pytest.mark.long
def test_feasts_pages_without_features_say_what_to_run(tmp_path: Path) -> None:
    done = jinkong("features", "ui", home=tmp_path)
    assert done.returncode == 3
    assert "run `jinkong features` first" in done.stderr
    assert "Traceback" not in done.stderr

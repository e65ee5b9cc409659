"""What an officer does with parties, by the command: see what waits, rule, undo, sum exposures, read the report."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from group.errors import InputError
from pipelines.command import app
from tests.features.tables import a_customer, a_default, a_statement, write


def jinkong(*arguments: str, home: Path) -> Result:
    """The command in this process: its libraries are imported once for all of the tests."""
    return CliRunner().invoke(app, arguments, env={"JINKONG_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write(folder / "raw", "customers", [
        a_customer(),
        a_customer(legal_entity="credit", customer_id="C2"),
        a_customer(legal_entity="leasing", customer_id="C3", identity_token="T3"),
    ])  # fmt: skip
    at = datetime(2024, 6, 1, tzinfo=UTC)
    write(folder / "raw", "statements", [
        a_statement(at, loan_id="L1", statement_balance=Decimal("100.00"), legal_entity=entity, customer_id=customer)
        for entity, customer in (("consumer", "C1"), ("credit", "C2"), ("leasing", "C3"))
    ])  # fmt: skip
    write(folder / "raw", "defaults", [a_default(at)])
    done = jinkong(
        "data", "--source", "folder", "--path", str(folder / "raw"), "--observed-until", "2025-01-01",
        home=folder / "home",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "3 customers are 2 parties; links: 1 by identity token" in done.stdout
    assert "1 pairs wait for an officer: jinkong identity review" in done.stdout
    return folder / "home"


def test_a_pair_waits_is_ruled_on_and_the_ruling_is_undone(home: Path) -> None:
    shown = jinkong("identity", "review", home=home).stdout
    assert "consumer/C1" in shown
    assert "leasing/C3" in shown
    assert "identity_token" in shown
    assert "王芳" not in shown
    assert "Nothing waits" in jinkong("identity", "review", "--company", "credit", home=home).stdout
    pair = ("consumer/C1", "leasing/C3")
    by = ("--by", "Officer Li", "--reason", "both passports seen")
    assert jinkong("identity", "rule", *pair, "same", *by, home=home).exit_code == 0
    assert "3 customers are 1 parties" in jinkong("identity", home=home).stdout
    assert "│ 3 │" in " ".join(jinkong("identity", "exposure", home=home).stdout.split())
    assert jinkong("identity", "rule", *pair, "withdrawn", *by, home=home).exit_code == 0
    assert "3 customers are 2 parties" in jinkong("identity", home=home).stdout
    # And what the rules merged, an officer takes apart.
    assert jinkong("identity", "rule", "consumer/C1", "credit/C2", "different", *by, home=home).exit_code == 0
    assert "3 customers are 3 parties" in jinkong("identity", home=home).stdout


def test_the_report_is_written(home: Path, tmp_path: Path) -> None:
    page = tmp_path / "identity.html"
    done = jinkong("identity", "report", "--output", str(page), home=home)
    assert done.stdout.strip() == str(page)
    text = page.read_text()
    assert "客户识别" in text
    assert "There is no truth to compare with" in text
    assert "王芳" not in text


@pytest.mark.parametrize(("arguments", "says"), [
    (("rule", "consumer/C1", "credit/C7", "same", "--by", "x", "--reason", "y"), "'credit/C7' is no customer here"),
    (("rule", "consumer/C1", "credit/C2", "perhaps", "--by", "x", "--reason", "y"), "'perhaps' is no verdict"),
    (("rule", "consumer/C1", "credit/C2", "same", "--by", "x", "--reason", " "), "A ruling needs a reason"),
    (("review", "--company", "bank"), "'bank' is not a company of the group"),
])  # fmt: skip
def test_what_cannot_be_done_is_told(home: Path, arguments: tuple[str, ...], says: str) -> None:
    refused(jinkong("identity", *arguments, home=home), says)


def refused(done: Result, says: str) -> None:
    assert isinstance(done.exception, InputError)
    assert says in str(done.exception)


def test_without_data_there_is_nothing_to_link(tmp_path: Path) -> None:
    refused(jinkong("identity", home=tmp_path / "home"), "No data were loaded")

"""`trunkline init`: the configuration it writes works, says what was answered and nothing else, and overwrites nothing."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from streams.embedded.process import Child, free_port, listens
from streams.runtime import config, connectors
from streams.runtime.cli import app
from streams.runtime.errors import Fatal, Reject

ANSWERS = {
    "host": "pbx.example",
    "country": "FR",
    "extensions": r"[1-9]\d{3}",
    "dids": "01 99 00 10 01, 0199001002",
    "crm": "sandbox",
}


def init(folder: Path, *more: str, told: str = "", **answers: str) -> Result:
    """Without a try of the login, unless `told` says what a person answers to that."""
    options = [f"--{key}={value}" for key, value in {**ANSWERS, **answers}.items()]
    switch = "--probe" if told else "--no-probe"
    return CliRunner().invoke(app, ["init", f"--output={folder / 't.toml'}", switch, *options, *more], input=told)


def test_what_is_written_loads_and_says_what_was_answered(tmp_path: Path) -> None:
    """With nothing left to mend."""
    result = init(tmp_path)
    assert result.exit_code == 0, result.output
    found = config.load(tmp_path / "t.toml", {})
    assert list(connectors.faults(found)) == []
    own = connectors.configured(found, "pbx", "main")
    assert (own.host, own.port, own.username) == ("pbx.example", 5038, "trunkline")
    numbers = found.pbx["main"].numbers
    assert (numbers.country, numbers.extensions) == ("FR", r"[1-9]\d{3}")
    assert numbers.dids == ("01 99 00 10 01", "0199001002")
    assert list(found.crm) == ["crm"]
    assert sorted(f.name for f in tmp_path.iterdir()) == ["secrets", "t.toml"]


def test_the_lines_for_asterisk_are_exact(tmp_path: Path) -> None:
    """They can be pasted: user, made-up secret, event times, rights, and what helps beside."""
    out = init(tmp_path, "--user=link", "--pbx=head").stdout
    secret = (tmp_path / "secrets/pbx-head").read_text(encoding="ascii")
    lines = out.splitlines()
    assert len(secret) == 40
    assert stat.S_IMODE((tmp_path / "secrets/pbx-head").stat().st_mode) == 0o600
    for line in ("[link]", f"secret = {secret}", "timestampevents = yes", "apps = dial,park,queue,voicemail"):
        assert line in lines
    assert secret not in (tmp_path / "t.toml").read_text(encoding="utf-8")


def test_a_secret_that_exists_is_used_and_not_shown(tmp_path: Path) -> None:
    """Asterisk knows it already."""
    file = tmp_path / "given"
    file.write_text("s3cret\n", encoding="ascii")
    result = init(tmp_path, f"--secret-file={os.path.relpath(file)}")
    assert "s3cret" not in result.output
    found = config.load(tmp_path / "t.toml", {})
    assert connectors.configured(found, "pbx", "main").secret.get_secret_value() == "s3cret"
    assert not (tmp_path / "secrets").exists()


def test_an_existing_configuration_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    """And a second run keeps the secret that Asterisk was given."""
    init(tmp_path)
    before = (tmp_path / "t.toml").read_bytes(), (tmp_path / "secrets/pbx-main").read_bytes()
    result = init(tmp_path, host="other")
    assert isinstance(result.exception, Reject)
    assert ((tmp_path / "t.toml").read_bytes(), (tmp_path / "secrets/pbx-main").read_bytes()) == before
    assert init(tmp_path, "--force", host="other").exit_code == 0
    assert 'host = "other"' in (tmp_path / "t.toml").read_text(encoding="utf-8")
    assert (tmp_path / "secrets/pbx-main").read_bytes() == before[1]


@pytest.mark.parametrize(
    "answer",
    [
        {"country": "Belgium"},
        {"extensions": "[1-9"},
        {"crm": "salesforce"},
        {"pbx": "../x"},
        {"user": "a]\nsecret = x"},
        {"tenant": "a b"},
        {"pbx": "kafka"},
    ],
    ids=lambda answer: next(iter(answer)),
)
def test_an_answer_that_cannot_work_writes_nothing(tmp_path: Path, answer: dict[str, str]) -> None:
    """The sentence comes instead, and the folder has no half of a configuration."""
    result = init(tmp_path, *(f"--{key}={value}" for key, value in answer.items()))
    assert isinstance(result.exception, Fatal | Reject)
    assert not list(tmp_path.glob("*.toml*"))
    assert not list(tmp_path.glob(".*"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
@example("'\n[crm.evil]\nconnector = 'sandbox'\nx = '")
@example('"\n[kafka]\nbootstrap = "evil:9092')
@example("\\")
def test_no_answer_becomes_a_key_of_its_own(tmp_path: Path, text: str) -> None:
    """Quotes and line ends stay in their value, or are refused."""
    result = init(tmp_path, "--force", host=text, dids=text.replace(",", ""), extensions=text)
    if result.exit_code:
        assert isinstance(result.exception, Fatal | Reject)
        return
    found = config.load(tmp_path / "t.toml", {})
    assert connectors.configured(found, "pbx", "main").host == text
    assert found.pbx["main"].numbers.extensions == text
    assert (list(found.crm), found.kafka.bootstrap) == (["crm"], "")


@pytest.fixture
def asterisk(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A simulated PBX: its port, and the file with its secret."""
    secret, port = tmp_path / "ami-secret", free_port()
    secret.write_text("s3cret", encoding="ascii")
    command = [sys.executable, "-m", "streams.runtime.cli", "simulate", "asterisk"]
    command += [f"--port={port}", f"--secret-file={secret}", "--wait"]
    with Child(command, log=tmp_path / "asterisk.log", answers=lambda: listens(port)):
        yield port, secret


@pytest.mark.integration
def test_the_login_is_tried(tmp_path: Path, asterisk: tuple[int, Path]) -> None:
    """Before a person goes on to the next step."""
    port, secret = asterisk
    result = init(tmp_path, f"--port={port}", f"--secret-file={secret}", told="n\n", host="127.0.0.1")
    assert result.exit_code == 0, result.output
    assert "login works: Asterisk Call Manager/" in result.output


@pytest.mark.integration
def test_a_refused_login_can_be_tried_again_or_left(tmp_path: Path, asterisk: tuple[int, Path]) -> None:
    """The configuration is written all the same: manager.conf may come later."""
    result = init(tmp_path, f"--port={asterisk[0]}", told="y\nn\n", host="127.0.0.1")
    assert result.output.count("not yet: 127.0.0.1:") == 2
    assert "refuses user 'trunkline'" in result.output
    assert (tmp_path / "t.toml").exists()


def test_without_a_terminal_a_question_ends_the_command(tmp_path: Path) -> None:
    """A script that forgot an option is not left hanging."""
    command = [sys.executable, "-m", "streams.runtime.cli", "init", f"--output={tmp_path / 't.toml'}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert not (tmp_path / "t.toml").exists()

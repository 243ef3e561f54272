"""The command line as a whole: errors are sentences on stderr with code 1, outside text cannot steer a terminal."""

import signal
import sys
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from streams.runtime import cli, logs
from streams.runtime.cli import app, common, main
from streams.runtime.errors import Fatal


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["trunkline", *arguments])
    with pytest.raises(SystemExit) as e:
        main()
    return e.value.code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("up", "--config", "/nowhere.toml"), "no configuration at /nowhere.toml; `trunkline init` writes one"),
        (("schemas", "show", "Nothing"), "there is no record Nothing"),
        (("simulate", "asterisk", "--secret-file", "/nowhere"), "/nowhere: No such file or directory"),
    ],
)
def test_an_error_is_one_sentence(
    arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No trace, nothing on the standard output, code 1."""
    assert run(monkeypatch, *arguments) == 1
    out, err = capsys.readouterr()
    assert err.startswith(told)
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._TRANSPORT])
def test_an_error_of_the_kafka_client_is_a_sentence_too(code: int) -> None:
    """It names what was done and who looks further."""
    sentence = cli._sentence(KafkaException(KafkaError(code)))
    assert sentence.startswith("Kafka: asking the cluster: ")
    assert "trunkline doctor" in sentence


def test_an_error_without_a_text_is_at_least_named() -> None:
    """An empty line helps nobody."""
    assert cli._sentence(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("name", ["[red]x[/]", "[/nonsense]", "\x1b[2J\x1b]0;owned\x07", "a\rb", "\u202eabc"])
def test_a_callers_name_is_shown_as_it_is(name: str) -> None:
    """No markup of ours, no control sequence of the terminal."""
    table = Table()
    table.add_row(common.cell(name))
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(table)
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(shown.get())
    assert logs.printable(name) in shown.get()


def test_sigterm_ends_a_command_like_ctrl_c_until_it_is_told_to_set_an_event() -> None:
    """During the start there is no loop yet that would look at an event."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        common.interruptible()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        stop = common.stop_on_signals()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('[pbx.main]\nadapter = "asterix"', "pbx.main.adapter: there is no connector 'asterix'"),
        ('[crm.crm]\nconnector = "pipedrive"', "crm.crm.connector: there is no connector 'pipedrive'"),
        ('[crm.crm]\nconnector = "sandbox"\nrate = 3', "crm.crm.rate: there is no such key"),
    ],
)
def test_up_refuses_a_wrong_section_before_anything_starts(tmp_path: Path, section: str, told: str) -> None:
    """A person sees the sentence at once, not a restart loop."""
    config = tmp_path / "trunkline.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n{section}\n', encoding="utf-8")
    before = signal.getsignal(signal.SIGTERM)
    try:
        result = CliRunner().invoke(app, ["up", "--config", str(config)])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(result.exception, Fatal)
    assert told in str(result.exception)
    assert not (tmp_path / "data" / "logs").exists()


def test_schemas_and_topics_tell_what_there_is() -> None:
    """Both are read without a broker."""
    runner = CliRunner()
    assert "all read each other" in runner.invoke(app, ["schemas", "check"]).output
    assert '"name": "Call"' in runner.invoke(app, ["schemas", "show", "Call"]).output
    shown = runner.invoke(app, ["schemas", "show"]).output
    assert "EnrichedCallEvent" in shown
    assert "100003" in shown
    listed = runner.invoke(app, ["topics", "list"], env={"COLUMNS": "250"}).output
    assert "call-events-enriched.dead" in listed
    assert "streams fold" in listed

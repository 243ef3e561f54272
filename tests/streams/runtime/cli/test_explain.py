"""`trunkline calls explain` of a file of events: what a person reads, and what another machine reads back."""

import json
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from streams.processors.explain import explain
from streams.runtime import config
from streams.runtime.cli import app, lanes
from streams.runtime.cli.call_events import as_json
from streams.runtime.cli.explain import page
from streams.runtime.errors import Reject
from tests.streams.processors.folding.openings import attended, talking
from tests.streams.processors.folding.script import Script
from tests.streams.processors.test_explain import second_attempt

GOLDEN = Path(__file__).parent / "explained"
Run = Callable[..., Result]


def short() -> Script:
    """A customer is answered and is held for a while."""
    call = talking(10)
    call.hold("A", 5)
    call.wait(5)
    call.hang_up("C", "A", "b1")
    return call


CALLS = {"held": short, "attended_transfer": attended, "second_agent_of_a_queue": second_attempt}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on a file with the events of a call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *arguments: CliRunner().invoke(app, ["calls", "explain", *arguments])


def written(folder: Path, call: Script) -> tuple[str, str]:
    """(id of the customer's call, file of events)."""
    file = folder / "events.jsonl"
    file.write_bytes(b"".join(orjson.dumps(as_json(event)) + b"\n" for event in call.events))
    return call.legs["C"]["call_id"], str(file)


def drawn(call: Script, width: int, signs: lanes.Signs) -> list[str]:
    life = explain(call.legs["C"]["call_id"], call.events, config.Fold())
    return [text.plain for text in page(life, width, signs)]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_call_as_a_person_would_draw_it(name: str) -> None:
    """The pages beside this test were read line by line."""
    assert drawn(CALLS[name](), 100, lanes.LINES) == (GOLDEN / f"{name}.txt").read_text("utf-8").splitlines()


def test_where_no_terminal_is_it_is_drawn_in_ascii(run: Run, tmp_path: Path) -> None:
    """A file or a pipe takes what every editor shows."""
    call, file = written(tmp_path, short())
    result = run(call, "--events", file)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == drawn(short(), 100, lanes.ASCII)
    assert result.stdout.isascii()


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("signs", [lanes.LINES, lanes.ASCII])
def test_it_keeps_to_the_width(width: int, signs: lanes.Signs) -> None:
    """Long fields are wrapped beside the lanes, and bars end where the window does."""
    lines = drawn(attended(), width, signs)
    drawing = lines[lines.index("", 3) :]  # the story above is as long as its sentences
    assert max(map(len, drawing)) <= width


def test_lanes_make_room_for_the_text() -> None:
    """Of twenty legs the letters stay, in front of each event."""
    call = Script()
    call.arrive()
    for n in range(20):
        call.dial("C", f"A{n}", agent=str(201 + n))
    lines = drawn(call, 60, lanes.LINES)
    assert any(line.endswith("A-U dial.started  dial_string=220") for line in lines)
    assert max(map(len, lines)) <= 60


def test_names_from_outside_do_not_steer_the_terminal() -> None:
    """Whatever a caller calls himself."""
    call = Script()
    call.arrive(caller_name="[bold]Bo[/nonsense]\x1b[2J")
    lines = "\n".join(drawn(call, 100, lanes.LINES))
    assert "[bold]Bo[/nonsense]" in lines
    assert "\x1b" not in lines


def test_what_is_printed_for_machines_is_read_back(run: Run, tmp_path: Path) -> None:
    """One place prints, another explains: the same page."""
    call, file = written(tmp_path, attended())
    printed = run(call, "--events", file, "--json")
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert lines[-1]["call"]["state"] == "final"
    assert any("attended transfer by 201 to 203: completed" in line.get("concluded", ()) for line in lines)
    again = tmp_path / "again.jsonl"
    again.write_text(printed.stdout, encoding="utf-8")
    assert run(call, "--events", str(again)).stdout == run(call, "--events", file).stdout


def test_a_call_that_is_not_in_the_file(run: Run, tmp_path: Path) -> None:
    """It is told where its ids are."""
    _, file = written(tmp_path, short())
    error = run("main:9", "--events", file).exception
    assert isinstance(error, Reject)
    assert str(error) == f"no call main:9 in {file}; its call ids are under `call_id`"


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", "{}", '{"type": "note"}', '{"ts": "yesterday", "type": "note"}', "7"]
)
def test_a_line_that_is_no_event(run: Run, tmp_path: Path, line: str) -> None:
    """Is named by its place."""
    _, file = written(tmp_path, short())
    with Path(file).open("a", encoding="utf-8") as events:
        events.write(line + "\n")
    count = len(short().events)
    error = run("main:1", "--events", file).exception
    assert isinstance(error, Reject)
    assert str(error).startswith(f"{file}:{count + 1}: not an event in JSON (")


def test_one_place_at_a_time(run: Run, tmp_path: Path) -> None:
    """A file and the log together are a mistake."""
    call, file = written(tmp_path, short())
    assert isinstance(run(call, "--events", file, "--log").exception, Reject)

import csv
import io
from zoneinfo import ZoneInfo

from producers.simulator.cdr import Row, csv_line, event_fields
from tests.producers.simulator.centre import build, head, play_all

ROW = Row(
    src="0261910000",
    dst="1001",
    context="internal",
    caller='"Zoë ""Z"" Müller" <0261910000>',
    channel="PJSIP/trunk1-00000000",
    peer="",
    application="Dial",
    data="PJSIP/1001,15",
    started=1_700_000_000_900_000,
    answered=None,
    ended=1_700_000_003_100_000,
    disposition="NO ANSWER",
    uniqueid="1700000000.0",
    linkedid="1700000000.0",
    sequence=7,
)


def columns_of(line: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(line.decode())))


def test_an_empty_answer_is_bare_nothing_and_numbers_are_bare() -> None:
    """Master.csv: 21 columns, text in quotes, no quotes around integers, nothing at all for no answer."""
    line = csv_line(ROW, ZoneInfo("Asia/Novosibirsk"))
    assert b'"2023-11-15 05:13:20",,"2023-11-15 05:13:23",2,0,"NO ANSWER"' in line
    columns = columns_of(line)
    assert len(columns) == 21
    assert columns[4] == ROW.caller


def test_whole_seconds_are_truncated_differences() -> None:
    """Duration is the difference of the exact times, cut: it can be a second short of the printed times' gap."""
    told = dict(event_fields(ROW, ZoneInfo("UTC")))
    assert (told["StartTime"], told["EndTime"], told["Duration"]) == ("2023-11-14 22:13:20", "2023-11-14 22:13:23", "2")


def test_records_agree_with_the_truth() -> None:
    """For a plain talk, what was billed is what was talked and held, to the second that is cut off."""
    played = build(6, calls=40, rate=0.5, agents=30, mix={"direct_answered": 1, "hold": 1})
    play_all(played)
    answered = [t for t in played.closed.values() if t["outcome"] == "answered"]
    billed = {line[16]: int(line[13]) for line in map(columns_of, played.records)}
    assert len(answered) > 30
    for truth in answered:
        assert abs(billed[truth["uniqueid"]] - truth["talk_s"] - truth["hold_s"]) <= 1


def test_events_and_master_csv_say_the_same() -> None:
    """Each Cdr event has its line in Master.csv, and every call has at least one record of its first channel."""
    played = build(6, calls=80, rate=0.7, agents=30)
    events = [head(frame.wire) for frame in play_all(played) if frame.event == "Cdr"]
    lines = list(map(columns_of, played.records))
    assert [(e["UniqueID"], e["Destination"], e["StartTime"], e["Disposition"]) for e in events] == [
        (line[16], line[2], line[9], line[14]) for line in lines
    ]
    assert {truth["uniqueid"] for truth in played.closed.values()} <= {line[16] for line in lines}

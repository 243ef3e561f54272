from collections import defaultdict
from pathlib import Path

import pytest

from producers.simulator.frames import LAYOUTS, Leg, Wire, leg_block
from tests.producers.simulator.centre import build, fields, head, play_all

END = b"\r\n\r\n"
RECORDINGS = sorted((Path(__file__).parents[1] / "pbx" / "asterisk_ami").glob("*/frames.txt"))


def shapes(frames: list[bytes]) -> dict[str, set[tuple[str, ...]]]:
    """For each event, the sequences of field names that it comes with."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for frame in frames:
        names = fields(frame)
        found[names[0][1]].add(tuple(name for name, _ in names))
    return found


def recorded() -> dict[str, set[tuple[str, ...]]]:
    """The shapes of all that a real Asterisk with `timestampevents` said in the recordings of the AMI adapter."""
    frames = [frame + END for path in RECORDINGS for frame in path.read_bytes().split(END)]
    return shapes([frame for frame in frames if frame.startswith(b"Event: ") and b"\r\nTimestamp: " in frame])


def test_every_event_has_the_fields_of_a_real_one_in_its_order() -> None:
    """Whatever event was recorded from a real Asterisk is played with one of its recorded sequences of fields.

    AgentComplete is also played without the ids of one or both sides; AttendedTransfer has a test of its own.
    """
    real = recorded()
    played = shapes([frame.wire for frame in play_all(build(3, calls=300, rate=0.7, agents=30))])
    assert len(set(real) & set(played)) > 25
    for event in sorted(set(real) & set(played)):
        if event == "AgentComplete":
            assert real[event] & played[event]
        elif event != "AttendedTransfer":
            assert played[event] <= real[event], (event, played[event] - real[event])


def test_a_recorded_attended_transfer_is_played() -> None:
    """The feature code's transfer has the blocks of the recorded one; it is a race whether the target is among them."""
    played = shapes([frame.wire for frame in play_all(build(1, calls=20, rate=0.2, mix={"feature_transfer": 1}))])
    assert len(played["AttendedTransfer"]) == 2
    assert recorded()["AttendedTransfer"] <= played["AttendedTransfer"]


def test_every_played_event_is_laid_out() -> None:
    """Nothing is said that the table of layouts does not know, and the privilege is the table's."""
    for frame in play_all(build(4, calls=100)):
        told = head(frame.wire)
        assert told["Event"] == frame.event
        assert told["Privilege"] == f"{LAYOUTS[frame.event].privilege},all" == f"{frame.privilege},all"


@pytest.mark.parametrize(("timestamps", "system"), [(True, ""), (False, ""), (True, "pbx-1"), (False, "pbx-1")])
def test_timestamp_is_the_third_line_and_systemname_the_next(timestamps: bool, system: str) -> None:
    """`timestampevents` and `systemname` show where Asterisk writes them, and in the uniqueids."""
    wire = Wire(system_name=system, timestamps=timestamps)
    frames = play_all(build(1, calls=3, wire=wire))
    for frame in frames:
        names = [name for name, _ in fields(frame.wire)]
        assert names[2 : 2 + timestamps + bool(system)] == ["Timestamp"] * timestamps + ["SystemName"] * bool(system)
    first = head(frames[0].wire)
    assert first["Uniqueid"].startswith(f"{system}-1700000000." if system else "1700000000.")
    if timestamps:
        assert first["Timestamp"] == f"{frames[0].at / 1e6:.6f}"


def test_names_are_escaped_and_numbers_are_not() -> None:
    """A quote in a caller's name arrives with a backslash, as Asterisk sends it; an empty value is <unknown>."""
    leg = Leg(channel="PJSIP/1-0", uniqueid="1.0", linkedid="1.0", device="PJSIP/1", created=0, name="Zoë O'Brien")
    assert "CallerIDName: Zoë O\\'Brien\r\n" in leg_block(leg)
    assert "DestCallerIDNum: <unknown>\r\n" in leg_block(leg, "Dest")

"""Rows of channel event logging: both dialects, tables and their names, and what is refused."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx.asterisk_cel import Config, normalise
from schemas.codec import encode
from schemas.events import CallEvent
from streams.runtime.errors import Reject

EPOCH = "1795519805.356696"


def house(**config: object) -> Context[Config]:
    numbers = NumberPlan(country="BE", extensions=r"2\d\d", dids=("025550101",), outside_prefix="9")
    return Context(tenant="acme", pbx="main", numbers=numbers, config=Config(**config))  # type: ignore[arg-type]


def line(kind: str, extra: object = "", **cells: str) -> Frame:
    """A row as the sample's mapping writes it."""
    told = {
        "eventtype": kind,
        "eventtime": EPOCH,
        "num": "+32470123401",
        "context": "from-trunk",
        "channame": "PJSIP/trunk-00000001",
        "uniqueid": "1795519805.7",
        "linkedid": "1795519805.7",
        "eventextra": extra if isinstance(extra, str) else orjson.dumps(extra).decode(),
        **cells,
    }
    quoted = ['"' + told.get(column, "").replace('"', '""') + '"' for column in Config().columns]
    return Frame(",".join(quoted).encode(), 9, 1)


def read(frame: Frame, context: Context[Config] | None = None) -> list[CallEvent]:
    return list(normalise(frame, context or house()))


def one(kind: str, extra: object = "", **cells: str) -> CallEvent:
    (event,) = read(line(kind, extra, **cells))
    return event


def test_the_first_channel_gives_direction_and_did() -> None:
    """By the same rules as a Newchannel over AMI."""
    event = one("CHAN_START", exten="025550101")
    assert (event.type, event.direction, event.did) == ("leg.created", "inbound", "+3225550101")
    assert (event.customer_number, event.synthetic, event.data["source"]) == ("+32470123401", True, "cel")
    assert (event.ts, event.ts_precision) == (1795519805356696, "us")
    second = one("CHAN_START", exten="s", linkedid="1795519805.1")
    assert (second.direction, second.did, second.call_id) == ("", "", "main:1795519805.1")


def test_names_are_not_escaped_here() -> None:
    """A back-slash in a caller's name is the caller's."""
    assert one("CHAN_START", name=r"A\B").caller_name == r"A\B"
    assert one("ANSWER", name=r"A\B").caller_name == r"A\B"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"hangupcause": 17, "hangupsource": "PJSIP/201-1", "dialstatus": "BUSY"}, (17, "PJSIP/201-1", "BUSY")),
        ("17,PJSIP/201-1,BUSY", (17, "PJSIP/201-1", "BUSY")),
        ("16,,", (16, "", "")),
        ("", (None, "", "")),
    ],
)
def test_hangup_in_both_dialects(extra: object, told: tuple[int | None, str, str]) -> None:
    """Cause, who hung up, and how the dialling ended."""
    event = one("HANGUP", extra)
    assert (event.cause, event.data.get("by_channel", ""), event.data.get("dialstatus", "")) == told


def test_a_conference_is_told_beside_its_bridge() -> None:
    """Two facts of one row, with two ids."""
    extra = {"bridge_id": "b1", "bridge_technology": "softmix"}
    bridge, room = read(line("BRIDGE_ENTER", extra, appname="ConfBridge", appdata="600,sales"))
    assert (bridge.type, bridge.data["bridge"], bridge.data["creator"]) == ("bridge.joined", "b1", "ConfBridge")
    assert (room.type, room.data["conference"], room.event_id != bridge.event_id) == ("conference.joined", "600", True)


def test_a_bridge_of_the_old_dialect_has_two_members() -> None:
    """Only one of them is told of; the other is known by its channel's name."""
    own, peer = read(line("BRIDGE_START", peer="SIP/201-00000002"))
    assert (own.data["bridge"], own.data["peer_channel"]) == (peer.data["bridge"], "SIP/201-00000002")
    assert (peer.type, peer.leg_id, peer.channel, peer.agent) == ("bridge.joined", "", "SIP/201-00000002", "201")


def test_blind_transfer_in_both_dialects() -> None:
    """Told of the transferer, as the event over AMI is: leg is the transferee's, peer the transferer's."""
    extra = {
        "extension": "203",
        "context": "internal",
        "bridge_id": "b1",
        "transferee_channel_name": "PJSIP/trunk-00000001",
        "transferee_channel_uniqueid": "1795519805.7",
    }
    cells = {"channame": "PJSIP/201-00000002", "uniqueid": "1795519806.9"}
    event = one("BLINDTRANSFER", extra, **cells)
    assert (event.type, event.leg_id, event.peer_leg_id) == (
        "transfer.completed",
        "main:1795519805.7",
        "main:1795519806.9",
    )
    assert (event.agent, event.data["kind"], event.data["extension"], event.data["by_leg"]) == (
        "201",
        "blind",
        "203",
        "main:1795519806.9",
    )
    old = one("BLINDTRANSFER", "203", peer="SIP/trunk-00000001", **cells)
    assert (old.leg_id, old.channel, old.data["extension"]) == ("", "SIP/trunk-00000001", "203")
    unknown = one("BLINDTRANSFER", extra | {"transferee_channel_uniqueid": "N/A", "transferee_channel_name": "N/A"})
    assert (unknown.leg_id, unknown.channel) == ("", "")


def test_attended_transfer_in_both_dialects() -> None:
    """Both halves and both who are joined; an application may be the target."""
    extra = {
        "bridge1_id": "b1",
        "channel2_name": "PJSIP/201-00000003",
        "channel2_uniqueid": "1795519807.11",
        "bridge2_id": "b2",
        "transferee_channel_name": "PJSIP/trunk-00000001",
        "transferee_channel_uniqueid": "1795519805.7",
        "transfer_target_channel_name": "PJSIP/203-00000004",
        "transfer_target_channel_uniqueid": "1795519807.12",
    }
    event = one("ATTENDEDTRANSFER", extra, channame="PJSIP/201-00000002", uniqueid="1795519806.9")
    assert (event.leg_id, event.peer_leg_id, event.agent) == ("main:1795519805.7", "main:1795519807.12", "201")
    assert [event.data[key] for key in ("by_leg", "second_by_leg", "bridge", "second_bridge")] == [
        "main:1795519806.9",
        "main:1795519807.11",
        "b1",
        "b2",
    ]
    old = one("ATTENDEDTRANSFER", "", peer="SIP/203-00000004")
    assert (old.leg_id, old.peer_leg_id, old.data["target_channel"]) == ("main:1795519805.7", "", "SIP/203-00000004")
    assert "by_leg" not in old.data


@pytest.mark.parametrize(
    ("extra", "reason", "by"),
    [
        ({"reason": "ParkedCallUnparked", "retriever": "PJSIP/202-1"}, "retrieved", "PJSIP/202-1"),
        ({"reason": "ParkedCallTimeOut"}, "timeout", ""),
        ({"reason": "ParkedCallGiveUp"}, "abandoned", ""),
        ({"reason": "ParkedCallSwap"}, "swapped", ""),
        ({"reason": "ParkedCallFailed"}, "failed", ""),
        ("UnParkedCall", "retrieved", "PJSIP/205-1"),
    ],
)
def test_the_end_of_parking(extra: object, reason: str, by: str) -> None:
    """Why, and who took the call back."""
    event = one("PARK_END", extra, peer="PJSIP/205-1" if isinstance(extra, str) else "")
    assert (event.type, event.data["reason"], event.data.get("retriever_channel", "")) == ("park.ended", reason, by)


def test_the_beginning_of_parking() -> None:
    """Lot and parker; before 12 the lot is all of the extra."""
    event = one("PARK_START", {"parker_dial_string": "PJSIP/201", "parking_lot": "default"})
    assert (event.type, event.data["lot"], event.data["parker"]) == ("park.started", "default", "PJSIP/201")
    assert one("PARK_START", "default", peer="SIP/201-1").data["parker"] == "SIP/201-1"


def test_pickup_names_who_took_the_call() -> None:
    """The row is that of the telephone that rang."""
    event = one("PICKUP", {"pickup_channel": "PJSIP/202-00000005", "pickup_channel_uniqueid": "1795519809.1"})
    assert (event.type, event.leg_id, event.peer_leg_id, event.agent) == (
        "pickup",
        "main:1795519809.1",
        "main:1795519805.7",
        "202",
    )


@pytest.mark.parametrize("extra", [{"forward": "PJSIP/0470123499@trunk"}, "Local/0470123499@internal/n", "0470123499"])
def test_forward_names_the_new_destination(extra: object) -> None:
    """As a number, however it is to be dialled."""
    assert one("FORWARD", extra).callee_e164 == "+32470123499"


def test_applications() -> None:
    """Queue and voicemail are facts of their own; others are told as they are."""
    queue = one("APP_START", appname="Queue", appdata="support,tT,,,7")
    assert (queue.type, queue.queue, queue.data["app"]) == ("queue.entered", "support", "Queue")
    assert one("APP_END", appname="Queue", appdata="support").type == "queue.left"
    box = one("APP_START", appname="VoiceMail", appdata="200,s")
    assert (box.type, box.data["box"]) == ("voicemail.entered", "200,s")
    assert one("APP_END", appname="VoiceMail").type == "voicemail.left"
    assert one("APP_START", appname="Dial").data["app"] == "Dial"
    assert one("APP_END", appname="Dial").data["app_end"] == "Dial"


def test_music_on_hold_but_no_sound_file() -> None:
    """Streams are told since 20; music says its class, its end only in userdeftype."""
    begin = one("STREAM_BEGIN", {"class": "default"}, userdeftype="MOH_STREAM_BEGIN")
    assert (begin.type, begin.data["moh"], begin.data["music"]) == ("leg.updated", "1", "default")
    assert one("STREAM_END", userdeftype="MOH_STREAM_END").data["moh"] == "0"
    assert read(line("STREAM_BEGIN", {"sound": "beep"}, userdeftype="FILE_STREAM_BEGIN")) == []
    assert read(line("STREAM_BEGIN", {"class": "default"})) == read(line("STREAM_END")) == []


def test_the_other_rows() -> None:
    """What links, what ends, and what carries no fact."""
    merged = one("LOCAL_OPTIMIZE", {"local_two": "Local/1@x-1;2", "local_two_uniqueid": "1795519805.8"})
    assert (merged.type, merged.peer_leg_id, merged.data["local"]) == ("linkage.merged", "main:1795519805.8", "1")
    assert one("LINKEDID_END").data["linkedid_end"] == "1"
    assert one("CHAN_END").data["chan_end"] == "1"
    for kind in ("DTMF", "BRIDGE_UPDATE", "HOOKFLASH"):
        assert read(line(kind, {"digit": "5"})) == []


@pytest.mark.parametrize("cells", [{"userdeftype": "Menu"}, {"kind": "Menu"}])
def test_the_dialplans_own_events(cells: dict[str, str]) -> None:
    """Its name stands in userdeftype, or (show_user_defined = no) in the place of the type."""
    kind = cells.pop("kind", "USER_DEFINED")
    context = house(ivr_events=("Menu",), note_events=("Remark",))
    (event,) = read(line(kind, {"extra": "sales"}, **cells), context)
    assert (event.type, event.data["event"], event.data["text"]) == ("ivr.entered", "Menu", "sales")
    assert read(line("Remark"), context)[0].type == "note"
    assert one("Else").type == "leg.updated"


def test_a_table_has_other_names_and_numbers() -> None:
    """cel_odbc's and cel_pgsql's columns; eventtype may be a number."""
    cells = {"cid_num": "201", "channame": "PJSIP/201-00000001", "uniqueid": "1795519805.7", "linkedid": "1795519805.7"}
    told = {"id": "4", "eventtype": "4", "eventtime": "2026-11-24 12:30:06.25", "extra": "", **cells}
    (event,) = read(Frame(orjson.dumps(told), 9, 1))
    assert (event.type, event.agent, event.ts) == ("leg.answered", "201", 1795519806250000)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(b"", 9, 1),
        Frame(b'"ANSWER","1795519805.1"', 9, 1),
        Frame(b"{not json", 9, 1),
        line("ANSWER", eventtime="soon"),
        line("ANSWER", eventtime="2026-13-45 99:99:99"),
        line("ANSWER", uniqueid=""),
        line("BRIDGE_ENTER", uniqueid=""),
        line("BLINDTRANSFER", uniqueid=""),
        line("HANGUP", "{no json"),
        Frame(line("ANSWER").raw[:-5], 9, 1),
        Frame(b"x" * 70_000, 9, 1),
    ],
)
def test_what_is_no_row_is_refused(frame: Frame) -> None:
    """Half lines, other columns, no time, no channel: to the dead letters, with a reason."""
    with pytest.raises(Reject, match=r"\w"):
        read(frame)


def test_columns_are_configured() -> None:
    """A shorter mapping is enough, in any case of letters; eventenum does as well."""
    context = house(columns=("EventTime", "eventenum", "UniqueID", "linkedid", "ChanName"))
    raw = b'"1795519805.1","ANSWER","1795519805.7","1795519805.7","PJSIP/201-00000001"'
    assert read(Frame(raw, 9, 1), context)[0].type == "leg.answered"


@given(
    st.dictionaries(st.sampled_from(sorted({*Config().columns, "id"})), st.text(max_size=30)),
    st.sampled_from(["HANGUP", "BRIDGE_ENTER", "PARK_END", "BLINDTRANSFER", "ATTENDEDTRANSFER", "x", "²", "4" * 5000]),
)
def test_any_row_gives_events_or_a_refusal(cells: dict[str, str], kind: str) -> None:
    """Whatever the columns hold, nothing but Reject is raised, and what is read encodes."""
    told = {**cells, "eventtype": kind, "eventtime": EPOCH, "uniqueid": "1795519805.7"}
    raw = orjson.dumps({key: value.encode("utf-8", "replace").decode() for key, value in told.items()})
    try:
        events = read(Frame(raw, 9, 1))
    except Reject:
        return
    for event in events:
        encode(event)


def test_dial_names_who_is_called_outside() -> None:
    """By its first argument, where that is one number and no telephone of the house."""
    assert one("APP_START", appname="Dial", appdata="PJSIP/0470123416@trunk,10,T").data["outside"] == "+32470123416"
    assert "outside" not in one("APP_START", appname="Dial", appdata="PJSIP/201,20").data
    assert "outside" not in one("APP_START", appname="Dial", appdata="PJSIP/0470123416@trunk&PJSIP/201,20").data


def test_bridge_tells_the_queue_that_made_it() -> None:
    """The beginning of a second queue may not be logged; who is put through by it is told with its name."""
    extra = {"bridge_id": "b1", "bridge_technology": "simple_bridge"}
    joined, known = read(line("BRIDGE_ENTER", extra, appname="Queue", appdata="second,tT,,,10"))
    assert (joined.type, joined.data["bridge"]) == ("bridge.joined", "b1")
    assert (known.type, known.data["app"], known.data["queue"]) == ("leg.updated", "Queue", "second")

"""How single AMI events read, where recordings do not reach: transfers by REFER, parking, pickup, conferences, dialect 1.x."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.adapter import Frame
from producers.pbx._asterisk import special, taxonomy
from producers.pbx.asterisk_ami import normalise
from schemas.codec import encode
from streams.clients.ami import Torn
from streams.runtime.errors import Reject
from tests.producers.pbx.house import HOUSE, STAMP, leg, one, read


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        (("+32470123401", "from-trunk", "025550101"), ("inbound", "+3225550101", "+32470123401", None)),
        (("anonymous", "from-trunk", "025550101"), ("inbound", "+3225550101", "", "1")),
        (("<unknown>", "from-trunk", "025550101"), ("inbound", "+3225550101", "", "1")),
        (("0470123401", "other", "025550101"), ("inbound", "+3225550101", "+32470123401", None)),
        (("201", "internal", "90470123401"), ("outbound", "", "+32470123401", None)),
        (("201", "internal", "202"), ("internal", "", "", None)),
        (("201", "internal", "*97"), ("internal", "", "", None)),
        (("201", "internal", "s"), ("", "", "", None)),
        (("alice", "internal", "202"), ("", "", "", None)),
    ],
)
def test_direction_follows_from_the_first_channel(
    channel: tuple[str, str, str], told: tuple[str, str, str, str | None]
) -> None:
    """Trunk context or own number: inbound; from an extension: outbound or internal; else nothing is said."""
    caller, context, exten = channel
    name = "PJSIP/201-0000000a" if caller == "201" else "PJSIP/x-0000000a"
    known = leg("", "1.1", name=name, CallerIDNum=caller, ConnectedLineNum="<unknown>", Context=context, Exten=exten)
    event = one("Newchannel", known)
    assert event.type == "leg.created"
    assert (event.direction, event.did, event.customer_number, event.data.get("hidden")) == told
    assert (event.data["context"], event.data["exten"]) == (context, exten)


def test_a_leg_to_the_carrier_has_no_direction() -> None:
    """It has the trunk's context too, but belongs to an older channel's call."""
    known = leg(
        "", "1.2", "1.1", CallerIDNum="<unknown>", ConnectedLineNum="<unknown>", Context="from-trunk", Exten="s"
    )
    event = one("Newchannel", known)
    assert (event.direction, event.did, event.data.get("hidden"), event.call_id) == ("", "", None, "main:1.1")


def test_a_withheld_presentation_hides_the_number() -> None:
    """The number is there, its owner does not want it known: no customer is looked up."""
    event = one("NewCallerid", {**leg("", "1.1"), "CID-CallingPres": "35 (Presentation Prohibited, Network Number)"})
    assert (event.customer_number, event.data["hidden"]) == ("", "1")


def test_names_are_unescaped() -> None:
    """AMI escapes names as C strings."""
    event = one("Newstate", leg("", "1.1", CallerIDName=r"O\'Brien \"Bob\" \\ x", ChannelState="6"))
    assert (event.type, event.caller_name) == ("leg.answered", 'O\'Brien "Bob" \\ x')


def test_blind_transfer_of_a_call() -> None:
    """Who transferred, whom, where to."""
    fields = {
        "Result": "Success",
        **leg("Transferer", "1.2", "1.1", name="PJSIP/201-0000000b"),
        **leg("Transferee", "1.1"),
        "BridgeUniqueid": "b-1",
        "IsExternal": "Yes",
        "Context": "internal",
        "Extension": "203",
    }
    event = one("BlindTransfer", fields)
    assert (event.type, event.leg_id, event.peer_leg_id, event.agent) == (
        "transfer.completed",
        "main:1.1",
        "main:1.2",
        "201",
    )
    assert event.customer_number == "+32470123401"
    assert event.data == {
        "kind": "blind",
        "result": "Success",
        "extension": "203",
        "context": "internal",
        "external": "Yes",
        "by_leg": "main:1.2",
        "transferee_leg": "main:1.1",
        "target_leg": "",
        "bridge": "b-1",
    }
    assert one("BlindTransfer", {**fields, "Result": "Fail"}).type == "transfer.failed"


def test_attended_transfer_names_both_halves() -> None:
    """Two linkedids meet: the transferee's is the call, the target's the peer call."""
    event = one(
        "AttendedTransfer",
        {
            "Result": "Success",
            **leg("OrigTransferer", "1.2", "1.1", name="PJSIP/201-0000000b"),
            "OrigBridgeUniqueid": "b-1",
            **leg("SecondTransferer", "1.3", "1.3", name="PJSIP/201-0000000c"),
            "SecondBridgeUniqueid": "b-2",
            **leg("Transferee", "1.1"),
            **leg("TransferTarget", "1.4", "1.3", name="PJSIP/203-0000000d"),
            "DestType": "Bridge",
            "DestBridgeUniqueid": "b-1",
        },
    )
    assert (event.type, event.call_id, event.peer_call_id) == ("transfer.completed", "main:1.1", "main:1.3")
    assert (event.leg_id, event.peer_leg_id) == ("main:1.1", "main:1.4")
    told = ("by_leg", "second_by_leg", "transferee_leg", "target_leg", "bridge", "second_bridge")
    assert [event.data[key] for key in told] == ["main:1.2", "main:1.3", "main:1.1", "main:1.4", "b-1", "b-2"]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("ParkedCall", "park.started", None),
        ("UnParkedCall", "park.ended", "retrieved"),
        ("ParkedCallTimeOut", "park.ended", "timeout"),
        ("ParkedCallGiveUp", "park.ended", "abandoned"),
    ],
)
def test_parking(name: str, kind: str, reason: str | None) -> None:
    """The parked leg, who took it back with its own call, and the space."""
    retriever = leg("Retriever", "2.1", name="PJSIP/202-0000000f") if reason == "retrieved" else {}
    event = one(name, {**leg("Parkee", "1.1"), **retriever, "Parkinglot": "default", "ParkingSpace": "701"})
    assert (event.type, event.leg_id, event.data.get("reason"), event.data["space"]) == (
        kind,
        "main:1.1",
        reason,
        "701",
    )
    assert event.peer_call_id == ("main:2.1" if retriever else "")


def test_pickup_and_conference_and_merge() -> None:
    """Where calls with different linkedids meet, both are named."""
    picked = one("Pickup", {**leg("", "2.1"), **leg("Target", "1.2", "1.1")})
    assert (picked.type, picked.call_id, picked.peer_call_id) == ("pickup", "main:2.1", "main:1.1")
    joined = one(
        "ConfbridgeJoin", {**leg("", "3.1"), "Conference": "9000", "BridgeUniqueid": "b-3", "BridgeType": "base"}
    )
    assert (joined.type, joined.data["conference"], joined.data["bridge"]) == ("conference.joined", "9000", "b-3")
    merged = one("BridgeMerge", {"ToBridgeUniqueid": "b-1", "FromBridgeUniqueid": "b-2"})
    assert (merged.type, merged.data) == ("linkage.merged", {"bridge_from": "b-2", "bridge_to": "b-1"})
    entered = one("BridgeEnter", {**leg("", "1.9", "1.1"), "BridgeUniqueid": "b-1", "SwapUniqueid": "1.2"})
    assert entered.data["swap"] == "main:1.2"


def test_a_bridge_of_the_old_dialect_is_two_events() -> None:
    """Both legs join a bridge named after the pair; each event has an id of its own."""
    pair = {"Bridgestate": "Link", "Channel1": "SIP/a", "Channel2": "SIP/b", "Uniqueid1": "1.1", "Uniqueid2": "1.2"}
    first, second = read("Bridge", pair)
    assert (first.leg_id, first.peer_leg_id) == (second.peer_leg_id, second.leg_id) == ("main:1.1", "main:1.2")
    assert first.data["bridge"] == second.data["bridge"]
    assert first.event_id != second.event_id
    assert [e.type for e in read("Bridge", {**pair, "Bridgestate": "Unlink"})] == ["bridge.left", "bridge.left"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b"Event: Newchannel\r\nChannel: x",
        b"Event: Newstate\r\nUniqueid: 1.1\r\nTimestamp: yesterday",
        b"Event: Newstate\r\nUniqueid: 1.1\r\nTimestamp: 99999999999999999.000000",
        "Event: Newstate\r\nUniqueid: 1.1\r\nTimestamp: ١٢٣٤.000000".encode(),
        b"Event: Hangup\r\nUniqueid: 1.1\r\nEvent: Hangup",
        Torn(b"Event: Hangup\r\nUniqueid: 1.1\r\nTimestamp: 1.000000\r\nX: xxx"),
    ],
)
def test_what_cannot_be_read_is_refused(raw: bytes) -> None:
    """Refused with a reason, for the dead letters: never half understood."""
    with pytest.raises(Reject, match=r"\w"):
        list(normalise(Frame(raw, 9, 1), HOUSE))


@pytest.mark.parametrize(
    "raw", [b"Response: Success\r\nActionID: 1", b"Action: Ping", b"Event: PeerStatus\r\nPeer: SIP/x"]
)
def test_what_says_nothing_gives_nothing(raw: bytes) -> None:
    """Answers, the client's own actions and events outside the taxonomy are no errors."""
    assert list(normalise(Frame(raw, 9, 1), HOUSE)) == []


_NAMES = sorted({*taxonomy.ROWS, *special.HANDLERS, "coreshowchannel", "queueentry"})
_BLOCK = ("Uniqueid", "Linkedid", "Channel", "CallerIDNum", "ConnectedLineNum", "Exten", "Context", "ChannelState")
_PREFIXES = (
    "",
    "Dest",
    "Transferer",
    "Transferee",
    "OrigTransferer",
    "SecondTransferer",
    "TransferTarget",
    "Parkee",
    "LocalOne",
)
_KEYS = [
    *(prefix + key for prefix in _PREFIXES for key in _BLOCK),
    *("Queue", "Interface", "MemberName", "Status", "Paused", "Device", "State", "Cause", "Reason", "UserEvent"),
    *("Application", "EventName", "SubEvent", "Bridgestate", "Uniqueid1", "Uniqueid2", "DestUniqueid", "Timestamp"),
    *("StartTime", "EndTime", "AnswerTime", "UniqueID", "Source", "Destination", "CallerID", "Position"),
]
_VALUES = st.one_of(
    st.text(max_size=20), st.sampled_from(["1.1", "<unknown>", "6", "201", "0470123401", STAMP, "2026-11-24 12:30:05"])
)


@given(st.sampled_from(_NAMES), st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=25), st.booleans())
def test_any_values_give_events_or_a_refusal(name: str, fields: dict[str, str], row_of_snapshot: bool) -> None:
    """Every event of the taxonomy with any values of its fields: nothing but Reject is raised, and what comes out encodes."""
    raw = "\r\n".join([f"Event: {name}", *[f"{key}: {value}" for key, value in fields.items()]]).encode()
    facts = {"at": "1700000000.000001", "session": "s"} if row_of_snapshot else None
    try:
        events = list(normalise(Frame(raw, 9, 1, 0, facts), HOUSE))
    except Reject:
        return
    for event in events:
        encode(event)

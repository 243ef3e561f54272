"""How single AMI events read, where recordings do not reach: transfers by REFER, parking, pickup, conferences, dialect 1.x."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx._asterisk import special, taxonomy
from producers.pbx.asterisk_ami import Config, normalise
from schemas.codec import encode
from schemas.events import CallEvent
from streams.clients.ami import Torn
from streams.runtime.errors import Reject

HOUSE = Context(
    tenant="acme",
    pbx="main",
    numbers=NumberPlan(country="BE", extensions=r"2\d\d", dids=("025550101",), outside_prefix="9"),
    config=Config(
        host="",
        username="",
        secret=SecretStr(""),
        ivr_events=("Menu",),
        note_events=("Remark",),
        zone="Europe/Brussels",
    ),
)
STAMP = "1795519805.356696"


def leg(
    prefix: str, uniqueid: str, linkedid: str = "", name: str = "PJSIP/trunk-00000001", **more: str
) -> dict[str, str]:
    """A channel's block, as an event has it."""
    block = {
        "Channel": name,
        "CallerIDNum": "+32470123401",
        "ConnectedLineNum": "201",
        "Uniqueid": uniqueid,
        "Linkedid": linkedid or uniqueid,
        **more,
    }
    return {prefix + key: value for key, value in block.items()}


def read(name: str, fields: Mapping[str, str], context: Context[Config] = HOUSE) -> list[CallEvent]:
    lines = {"Event": name, "Privilege": "call,all", "Timestamp": STAMP, **fields}
    raw = "\r\n".join([f"{key}: {value}" for key, value in lines.items()]).encode()
    return list(normalise(Frame(raw, 9, 1), context))


def one(name: str, fields: Mapping[str, str]) -> CallEvent:
    (event,) = read(name, fields)
    return event


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


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("AgentCalled", "agent.offered", {}),
        ("AgentConnect", "agent.connected", {"hold_s": "7", "ring_s": "3"}),
        ("AgentComplete", "agent.completed", {"hold_s": "7", "talk_s": "60", "reason": "agent"}),
        ("AgentRingNoAnswer", "agent.ring_no_answer", {"ring_ms": "3"}),
        ("AgentDump", "agent.declined", {}),
    ],
)
def test_agents_of_a_queue(name: str, kind: str, data: dict[str, str]) -> None:
    """Caller's leg, agent's leg, queue; RingTime is seconds once and milliseconds once, as Asterisk has it."""
    times = {"HoldTime": "7", "RingTime": "3", "TalkTime": "60", "Reason": "agent"}
    member = {"Queue": "sales", "Interface": "Local/204@agents/n", "MemberName": "Dora Maes"}
    event = one(
        name, {**leg("", "1.1"), **leg("Dest", "1.5", "1.1", name="Local/204@agents-00000001;1"), **member, **times}
    )
    assert (event.type, event.leg_id, event.peer_leg_id) == (kind, "main:1.1", "main:1.5")
    assert (event.queue, event.agent, event.customer_number) == ("sales", "204", "+32470123401")
    assert event.data == {"interface": "Local/204@agents/n", "member": "Dora Maes", **data}
    assert event.by == "agent"


def test_agent_complete_without_any_ids() -> None:
    """Seen on real systems, a race at hang-up: queue and agent are all there is to join it by."""
    event = one("AgentComplete", {"Queue": "sales", "Interface": "PJSIP/204", "MemberName": "Dora", "TalkTime": "5"})
    assert (event.leg_id, event.peer_leg_id, event.call_id) == ("", "", "")
    assert (event.queue, event.agent, event.data["talk_s"]) == ("sales", "204", "5")


def test_an_abandon_is_a_hint_and_a_leave_says_nothing() -> None:
    """A queue time-out sends QueueCallerAbandon too."""
    queue = {**leg("", "1.1"), "Queue": "sales", "Position": "1", "HoldTime": "9"}
    assert one("QueueCallerAbandon", queue).data["reason"] == "abandoned"
    assert "reason" not in one("QueueCallerLeave", queue).data
    assert one("QueueCallerJoin", queue).type == "queue.entered"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"Status": "1", "Paused": "0"}, "available"),
        ({"Status": "1", "Paused": "1", "PausedReason": "lunch"}, "paused"),
        ({"Status": "6"}, "ringing"),
        ({"Status": "5"}, "unavailable"),
        ({"Status": "99"}, "unknown"),
    ],
)
def test_states_of_queue_members(fields: dict[str, str], state: str) -> None:
    """A number of Asterisk's device states, and the pause over it."""
    event = one("QueueMemberStatus", {"Queue": "sales", "Interface": "PJSIP/204", "MemberName": "Dora", **fields})
    assert (event.type, event.agent, event.data["state"]) == ("agent.state", "204", state)
    assert event.data.get("reason") == fields.get("PausedReason")


def test_only_telephones_of_people_have_states() -> None:
    """Trunks and queues have device states too."""
    assert one("DeviceStateChange", {"Device": "PJSIP/204", "State": "ONHOLD"}).data["state"] == "hold"
    for other in ("PJSIP/trunk", "Queue:sales", "Local/204@agents", "confbridge:1"):
        assert read("DeviceStateChange", {"Device": other, "State": "INUSE"}) == []


def test_digits_stay_out_unless_asked_for() -> None:
    """Callers type card numbers."""
    fields = {**leg("", "1.1"), "Digit": "7", "Direction": "Received"}
    assert "digit" not in one("DTMFEnd", fields).data
    open_house = Context(
        tenant="acme",
        pbx="main",
        numbers=HOUSE.numbers,
        config=Config(host="", username="", secret=SecretStr(""), dtmf_digits=True),
    )
    assert read("DTMFEnd", fields, open_house)[0].data["digit"] == "7"


def test_the_dialplans_own_words() -> None:
    """UserEvents by their configured meaning, with their own fields and nothing of the channel's."""
    menu = one("UserEvent", {**leg("", "1.1"), "UserEvent": "Menu", "Choice": "2"})
    assert (menu.type, menu.data) == ("ivr.entered", {"userevent": "Menu", "choice": "2"})
    assert one("UserEvent", {**leg("", "1.1"), "UserEvent": "Remark", "Text": "x"}).type == "note"
    assert one("UserEvent", {"UserEvent": "Else"}).type == "leg.updated"


def test_voicemail_is_seen_where_it_can_be() -> None:
    """By CEL, by the dialplan's step, and by the message that is left."""
    cel = {**leg("", "1.1"), "EventName": "APP_START", "Application": "VoiceMail", "AppData": "203@default,u"}
    assert one("CEL", cel).type == "voicemail.entered"
    assert one("CEL", {**cel, "EventName": "APP_END"}).type == "voicemail.left"
    assert read("CEL", {**cel, "EventName": "ANSWER"}) == []
    step = {**leg("", "1.1"), "Application": "VoiceMail", "AppData": "203@default,u"}
    assert one("Newexten", step).data["box"] == "203@default,u"
    assert read("Newexten", {**step, "Application": "Dial"}) == []
    message = one("MessageWaiting", {"Mailbox": "203@default", "Waiting": "1", "New": "2", "Old": "0"})
    assert (message.type, message.leg_id, message.data["new"]) == ("voicemail.message", "", "2")


def test_click_to_call_answers() -> None:
    """Success is the agent's leg; a failure may have no channel at all."""
    event = one(
        "OriginateResponse",
        {
            "ActionID": "a-1",
            "Response": "Success",
            "Channel": "PJSIP/201-00000001",
            "Uniqueid": "own-id",
            "Exten": "90470123401",
        },
    )
    assert (event.leg_id, event.call_id, event.customer_number) == ("main:own-id", "", "+32470123401")
    assert (event.data["originate"], event.data["action_id"]) == ("Success", "a-1")
    assert one("OriginateResponse", {"Response": "Failure", "Uniqueid": "<unknown>", "Reason": "5"}).leg_id == ""


def test_a_record_has_utc_times() -> None:
    """cdr_manager prints local time; the configured zone gives UTC, the columns have Master.csv's names."""
    event = one(
        "Cdr",
        {
            "Source": "0470123401",
            "Destination": "201",
            "Channel": "PJSIP/trunk-00000001",
            "StartTime": "2026-11-24 12:30:05",
            "AnswerTime": "",
            "EndTime": "2026-11-24 12:30:08",
            "BillableSeconds": "0",
            "Disposition": "NO ANSWER",
            "UniqueID": "1795519805.0",
        },
    )
    assert (event.type, event.leg_id, event.call_id) == ("cdr.final", "main:1795519805.0", "")
    assert event.data["start_us"] == "1795519805000000"
    assert (event.data["billsec"], event.data["disposition"], event.data["src"]) == ("0", "NO ANSWER", "0470123401")
    assert "answer_us" not in event.data
    assert event.customer_number == "+32470123401"


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

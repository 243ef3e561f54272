"""How AMI events about queues, agents, voicemail, digits, click-to-call and records read."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from producers.adapter import Context
from producers.pbx.asterisk_ami import Config
from tests.producers.pbx.house import HOUSE, leg, one, read


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
    for other in ("PJSIP/trunk", "Queue:sales", "Local/204@agents", "confbridge:1", "Queue:sales_pause_PJSIP/204"):
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
    assert one("CEL", {**cel, "EventName": "ANSWER"}).type == "leg.answered"
    without = replace(HOUSE, config=replace(HOUSE.config, cel=False))
    assert [read("CEL", {**cel, "EventName": kind}, without) for kind in ("ANSWER", "HANGUP")] == [[], []]
    assert [event.type for event in read("CEL", cel, without)] == ["voicemail.entered"]
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


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("TIMEOUT", {"reason": "timeout"}),
        ("JOINEMPTY", {"reason": "empty", "joined": "0"}),
        ("LEAVEUNAVAIL", {"reason": "empty"}),
        ("FULL", {"reason": "full", "joined": "0"}),
        ("WITHDRAW", {"reason": "withdrawn"}),
    ],
)
def test_why_a_queue_was_left(value: str, data: dict[str, str]) -> None:
    """Only a variable tells it; of all other variables nothing is read."""
    told = one("VarSet", {**leg("", "1.1"), "Variable": "QUEUESTATUS", "Value": value})
    assert (told.type, told.leg_id, told.queue, told.data) == ("queue.left", "main:1.1", "", data)
    assert read("VarSet", {**leg("", "1.1"), "Variable": "QUEUESTATUS", "Value": "CONTINUE"}) == []
    assert read("VarSet", {**leg("", "1.1"), "Variable": "DIALSTATUS", "Value": value}) == []


def test_which_file_is_recorded_to_and_which_queue_comes() -> None:
    """MixMonitorStart names no file; and a queue that lets nobody in is named by the dialplan's step alone."""
    file = one("VarSet", {**leg("", "1.1"), "Variable": "MIXMONITOR_FILENAME", "Value": "/rec/1.wav"})
    assert (file.type, file.data) == ("recording.started", {"file": "/rec/1.wav"})
    step = one("Newexten", {**leg("", "1.1"), "Application": "Queue", "AppData": "sales,tT,,,45"})
    assert (step.type, step.data) == ("leg.updated", {"app": "Queue", "queue": "sales"})


def test_a_call_back_is_dialled_by_nobody() -> None:
    """The PBX shows the house's own number to the leg that it dials: only the dial string names the customer."""
    dest = leg("Dest", "1.1", name="PJSIP/trunk-00000001", CallerIDNum="025550101", ConnectedLineNum="025550101")
    event = one("DialBegin", {**dest, "DialString": "0470123401@trunk"})
    assert (event.leg_id, event.peer_leg_id, event.customer_number) == ("", "main:1.1", "+32470123401")
    assert event.data["outside"] == "+32470123401"
    inside = one("DialBegin", {**leg("Dest", "1.1", name="PJSIP/201-00000001"), "DialString": "201"})
    assert "outside" not in inside.data

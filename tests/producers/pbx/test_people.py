"""Events about agents: who is behind an interface, what a snapshot tells of members and telephones."""

from dataclasses import replace

import pytest

from producers.adapter import Frame
from producers.pbx.asterisk_ami import normalise
from schemas.events import CallEvent
from tests.producers.pbx.house import HOUSE, leg, read
from tests.producers.pbx.test_session import Line

NAMED = replace(HOUSE, agents={"PJSIP/204": "dora", "205": "emil", "Frans Wuyts": "frans", "Agent/1001": "gerda"})


@pytest.mark.parametrize(
    ("interface", "member", "agent"),
    [
        ("PJSIP/204", "Dora Maes", "dora"),
        ("Local/205@agents/n", "Emil", "emil"),
        ("SIP/softphone", "Frans Wuyts", "frans"),
        ("PJSIP/201", "Anna", "201"),
        ("SIP/softphone", "", "softphone"),
    ],
)
def test_a_member_is_who_the_configuration_says(interface: str, member: str, agent: str) -> None:
    """By interface, by the device behind it, by the member's name; else the extension that they show."""
    fields = {"Queue": "sales", "Interface": interface, "MemberName": member, "Status": "1", "Paused": "0"}
    (event,) = read("QueueMemberStatus", fields, NAMED)
    assert event.agent == agent


def test_a_channel_and_a_telephone_are_the_same_agents() -> None:
    """What a call's record calls him is what his states are told under."""
    (created,) = read("Newchannel", {**leg("", "1.1", name="PJSIP/204-0000002a"), "Exten": "s"}, NAMED)
    (state,) = read("DeviceStateChange", {"Device": "PJSIP/204", "State": "INUSE"}, NAMED)
    (trunk,) = read("Newchannel", {**leg("", "1.1"), "Exten": "s"}, NAMED)
    assert (created.agent, state.agent, trunk.agent) == ("dora", "dora", "")


def test_a_log_in_of_the_agent_pool() -> None:
    """Its number is an agent's id unless the configuration knows better."""
    block = leg("", "1.1", name="PJSIP/201-00000001")
    assert [read("AgentLogin", {**block, "Agent": each}, NAMED)[0].agent for each in ("1001", "1002")] == [
        *("gerda", "1002"),
    ]


def test_a_telephone_behind_a_local_interface_has_a_state_of_its_own() -> None:
    """The member's status is that of its state interface, and a pause does not hide it."""
    fields = {"Queue": "sales", "Interface": "Local/204@agents/n", "StateInterface": "PJSIP/204", "Status": "5"}
    (event,) = read("QueueMemberStatus", {**fields, "Paused": "1", "PausedReason": "lunch", "Wrapuptime": "15"})
    known = ("state", "phone", "state_interface", "reason", "wrapup_s")
    assert [event.data[key] for key in known] == ["paused", "unavailable", "PJSIP/204", "lunch", "15"]


def snapshot() -> list[CallEvent]:
    """What a resync tells of agents."""
    line = Line()
    line.log_in()
    line.say(line.pong())
    devices = [b"Device: PJSIP/201\r\nState: RINGING\r\n", b"Device: PJSIP/trunk\r\nState: INUSE\r\n"]
    line.say(line.rows("DeviceStateList", "DeviceStateChange", *devices))
    member = b"Queue: sales\r\nName: Anna\r\nLocation: PJSIP/201\r\nStatus: 6\r\nPaused: 1\r\nPausedReason: tea\r\n"
    line.say(
        line.rows("CoreShowChannels", "CoreShowChannel"),
        line.rows("BridgeList", "BridgeListItem"),
        line.rows("QueueStatus", "QueueMember", member),
    )
    frames = [item for item in line.got if isinstance(item, Frame)]
    kinds = [item.type if not isinstance(item, Frame) else "row" for item in line.got]
    assert kinds.index("gap.resolved") > max(at for at, kind in enumerate(kinds[:-1]) if kind == "row")
    return [event for frame in frames for event in normalise(frame, HOUSE)]


def test_a_resync_tells_members_and_telephones_as_they_are() -> None:
    """Made by the snapshot, at its moment, and told by which session; before gap.resolved."""
    phone, member = snapshot()
    assert [event.synthetic for event in (phone, member)] == [True, True]
    assert phone.ts == member.ts
    assert (phone.agent, phone.data["phone"], phone.queue) == ("201", "ringing", "")
    assert (member.agent, member.queue, member.data["state"], member.data["reason"]) == (
        "201",
        "sales",
        "paused",
        "tea",
    )
    assert phone.data["session"] == member.data["session"] != ""

"""Rows of queue_log: file and table, agents by name or interface, times, and what is refused."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.adapter import Context, Frame
from producers.numbers import NumberPlan
from producers.pbx._asterisk import queue_log
from producers.pbx.asterisk_queue_log import Config, feed, normalise
from schemas.codec import encode
from schemas.events import CallEvent
from streams.runtime.errors import Reject


def house(zone: str = "", agents: dict[str, str] | None = None) -> Context[Config]:
    numbers = NumberPlan(country="BE", extensions=r"2\d\d")
    return Context(tenant="acme", pbx="main", numbers=numbers, config=Config(zone=zone), agents=agents or {})


def read(raw: bytes, context: Context[Config] | None = None, ahead: str = "") -> list[CallEvent]:
    return list(normalise(Frame(raw, 9, 1, 0, {"ahead": ahead}), context or house()))


def row(**cells: str) -> bytes:
    """A row of the realtime table."""
    told = {"id": "1", "time": "2026-11-24 12:30:05.25", "callid": "1795519805.7", "queuename": "support"}
    return orjson.dumps(told | {"agent": "NONE", "event": "ENTERQUEUE"} | cells)


def test_an_answer_ends_the_wait() -> None:
    """CONNECT is two facts: the caller left the queue, and the agent has him."""
    left, connected = read(b"1795519810|1795519805.7|support|PJSIP/201|CONNECT|5|1795519807.9|3")
    assert (left.type, left.data["reason"], left.leg_id) == ("queue.left", "connected", "main:1795519805.7")
    assert (connected.type, connected.agent, connected.peer_leg_id) == ("agent.connected", "201", "main:1795519807.9")
    assert (connected.data["hold_s"], connected.data["ring_s"], connected.queue) == ("5", "3", "support")
    assert (connected.ts, connected.ts_precision, connected.call_id) == (1795519810000000, "s", "")
    assert (connected.synthetic, connected.data["source"]) == (True, "queue_log")


def test_a_members_name_can_be_mapped() -> None:
    """log_membername_as_agent writes names: who is meant, the configuration says."""
    raw = b"1795519810|1795519805.7|support|Anna Peeters|RINGNOANSWER|3000"
    (unknown,), (known,) = read(raw), read(raw, house(agents={"Anna Peeters": "201"}))
    assert (unknown.agent, unknown.data["member"]) == ("Anna Peeters", "Anna Peeters")
    assert (known.agent, known.data["ring_ms"]) == ("201", "3000")


def test_a_table_has_its_parts_in_columns_or_in_one() -> None:
    """data1 to data5, or data as the file has it."""
    parts = read(row(event="ABANDON", data1="1", data2="2", data3="30", data4="", data5=""))
    whole = read(row(event="ABANDON", data="1|2|30"))
    for (event,) in (parts, whole):
        assert (event.type, event.data["reason"], event.data["wait_s"]) == ("queue.left", "abandoned", "30")


def test_the_sixth_part_stands_in_the_fifth_column() -> None:
    """A table has five: ATTENDEDTRANSFER LINK has six parts."""
    told = {"data1": "LINK", "data2": "PJSIP/a-1", "data3": "PJSIP/b-1", "data4": "3", "data5": "7|1"}
    completed, transfer = read(row(event="ATTENDEDTRANSFER", agent="PJSIP/201", **told))
    assert (completed.by, completed.data["hold_s"], completed.data["talk_s"]) == ("transfer", "3", "7")
    assert (transfer.data["kind"], transfer.data["target_channel"]) == ("attended", "PJSIP/b-1")


@pytest.mark.parametrize(
    ("zone", "ahead", "at"),
    [
        ("", "", 1795519805250000),
        ("", "-18000", 1795541405250000),
        ("Europe/Brussels", "", 1795519805250000),
        ("UTC", "3600", 1795523405250000),
    ],
)
def test_a_tables_time_is_local(zone: str, ahead: str, at: int) -> None:
    """As configured, as measured before, or as the caller's own channel tells."""
    assert read(row(), house(zone), ahead)[0].ts == at


def test_a_time_whose_zone_nothing_tells_is_refused() -> None:
    """A pause has no channel: before the first caller a table's zone is not known, and an hour off would be a lie."""
    pause = row(event="PAUSE", callid="NONE", agent="PJSIP/201")
    with pytest.raises(Reject, match="set zone"):
        read(pause)
    assert read(pause, house("Europe/Brussels"))[0].ts == read(pause, ahead="3600")[0].ts == 1795519805250000


def test_a_change_of_a_member_is_not_about_a_call() -> None:
    """Whoever made it stands in the place of the call."""
    (event,) = read(b"1795519810|MANAGER|support|PJSIP/201|ADDMEMBER|PAUSED")
    assert (event.type, event.leg_id, event.agent, event.data["state"]) == ("agent.state", "", "201", "paused")
    (event,) = read(b"1795519810|NONE|NONE|PJSIP/201|PAUSEALL|PAUSED")
    assert (event.queue, event.data["state"], event.data["reason"]) == ("", "paused", "PAUSED")


def test_a_hidden_caller_stays_hidden() -> None:
    """The carrier's word for him is no number."""
    (event,) = read(b"1795519810|1795519805.7|support|NONE|ENTERQUEUE||anonymous|1")
    assert (event.customer_number, event.data["hidden"]) == ("", "1")


@pytest.mark.parametrize("event", ["QUEUESTART", "CONFIGRELOAD", "PENALTY", "RINGINUSE", "OUTCALL", "TICKET"])
def test_what_is_no_fact_of_a_call_gives_nothing(event: str) -> None:
    """Also a site's own words, by QueueLog()."""
    assert read(f"1795519810|NONE|NONE|NONE|{event}|1".encode()) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1795519810",
        b"1795519810|a|b|c",
        b"soon|a|b|c|ABANDON|",
        b"1795519810|a|b|c||",
        b"{",
        b"{}",
        b"x" * 70_000,
    ],
)
def test_what_is_no_row_is_refused(raw: bytes) -> None:
    """Half lines and no times: to the dead letters, with a reason."""
    with pytest.raises(Reject, match=r"\w"):
        read(raw)


def test_a_feed_is_chosen_without_opening_it() -> None:
    """The file may not be there yet."""
    assert callable(feed(Config()))


@given(st.sampled_from(sorted(queue_log._HANDLERS)), st.lists(st.text(max_size=20), max_size=8))
def test_any_parts_give_events_or_a_refusal(event: str, parts: list[str]) -> None:
    """Whatever an event says, nothing but Reject is raised, and what is read encodes."""
    raw = "|".join(["1795519810", "1795519805.7", "support", "PJSIP/201", event, *parts])
    try:
        events = read(raw.encode("utf-8", "replace"))
    except Reject:
        return
    for found in events:
        encode(found)

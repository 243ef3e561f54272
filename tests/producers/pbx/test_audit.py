"""A reading session says how far it has read, and takes stock now and then: what a lost frame hid comes to light."""

from collections.abc import Sequence
from dataclasses import replace

from producers.adapter import Notice
from producers.pbx._asterisk.inventory import Inventory, told
from producers.pbx._asterisk.pulse import SETTLE
from streams.clients.ami import END, parse
from streams.runtime import metrics
from tests.producers.pbx.test_session import BEFORE, CONFIG, Line
from tests.support.pbx import channel, event, message

SECOND = 1_000_000


def started(*live: bytes, position: dict[str, object] | None = None, audits: float = 20.0) -> Line:
    """A session that has taken its first stock."""
    line = Line(position, replace(CONFIG, audit_seconds=audits))
    line.log_in()
    line.resync(*live)
    return line


def audit(line: Line, *live: bytes, during: Sequence[bytes] = (), until: bool = True) -> None:
    """A while later the PBX is asked again; events of the moment come between the rows and behind them."""
    line.clock.advance(21)
    asked = len(line.asked)
    line.listen()
    first, *_, last = [action["actionid"] for action in line.asked[asked:]]
    assert [a["action"] for a in line.asked[asked:]] == [
        "Ping",
        "CoreShowChannels",
        "BridgeList",
        "QueueStatus",
        "Ping",
    ]
    line.say(pong(line, first))
    begin, rest = line.rows("CoreShowChannels", "CoreShowChannel", *live).split(END, 1)
    line.say(begin + END, *during, rest)
    line.say(line.rows("BridgeList", "BridgeListItem"), line.rows("QueueStatus", "QueueEntry"))
    if until:
        line.say(pong(line, last))


def pong(line: Line, action_id: str) -> bytes:
    now = line.clock.now()
    stamp = f"{now // 10**6}.{now % 10**6:06d}"
    return message(Response="Success", ActionID=action_id, Ping="Pong", Timestamp=stamp)


def stock(line: Line) -> Notice:
    """The last word on who is alive."""
    return next(i for i in reversed(line.got) if isinstance(i, Notice) and "audit_us" in i.data)


def test_it_says_from_where_to_where_it_has_read() -> None:
    """At the start, with every answer to a ping, and at the end; never more than has surely come."""
    line = started(position={"seen_us": BEFORE, "reader": "house-1"})
    begin = line.clock.now()
    up = line.notice("source.up")
    assert (up.data["since_us"], up.data["until_us"], up.data["reader"]) == (str(begin), str(begin), "house-1")
    line.told()
    for _ in range(2):
        line.clock.advance(5)
        line.listen()
        line.say(event("Newchannel", line.clock.now(), channel("1.7")), line.pong())
    assert line.told() == [("Newchannel", "1.7"), ("source.up", ""), ("Newchannel", "1.7"), ("source.up", "")]
    line.say(event("Newstate", begin + 12 * SECOND, channel("1.7")))
    line.got = list(line.session.ended("reset"))
    (down,) = line.got
    assert isinstance(down, Notice)
    assert (down.data["since_us"], down.data["until_us"]) == (str(begin), str(begin + 12 * SECOND - SETTLE))


def test_a_reader_keeps_its_name() -> None:
    """A session has a name of its own; the adapter's is in its position, so that a restart is known as one."""
    line = started()
    name = line.session.position["reader"]
    other = started(position={"reader": name, "seen_us": BEFORE})
    assert {i.data["reader"] for i in (*line.got, *other.got) if isinstance(i, Notice)} == {name}


def test_an_audit_tells_who_is_alive() -> None:
    """As of the ping before the lists: what is younger may be missing in them."""
    line = started(channel("1.4"))
    line.say(event("Newchannel", line.clock.now(), channel("1.5")))
    line.told()
    audit(line, channel("1.4"), channel("1.5"))
    assert line.told() == [("source.up", "")]
    audit(line, channel("1.5"))
    told = stock(line)
    assert (told.data["live"], told.data["audit_us"]) == ("1.5", str(line.clock.now()))
    assert told.data["heartbeat"] == "1"
    assert told.data["until_us"] == str(line.clock.now() - SETTLE)


def test_a_lost_beginning_is_told() -> None:
    """A channel that no event began: its row comes before the list, once."""
    line = started(channel("1.4"))
    line.told()
    audit(line, channel("1.4"), channel("1.6"))
    assert line.told() == [("CoreShowChannel*", "1.6"), ("source.up", "")]
    audit(line, channel("1.4"), channel("1.6"))
    assert line.told() == [("source.up", "")]


def test_what_was_lost_is_counted() -> None:
    """Each beginning and each end that only the audit told; not the Local channels, whose events a site may filter."""
    lost = metrics.SOURCE_LOST.labels("main")
    line = started(channel("1.4"), channel("1.5"))
    line.told()
    before = lost._value.get()
    audit(line, channel("1.4"), channel("1.6"), channel("1.7", name="Local/201@internal-00000001;1"))
    assert line.told() == [("CoreShowChannel*", "1.6"), ("source.up", "")]
    assert lost._value.get() - before == 2


def test_a_beginning_that_comes_behind_the_list_is_not_lost() -> None:
    """The list overtook the event; the second ping is answered behind both."""
    line = started()
    line.told()
    audit(line, channel("1.6"), until=False)
    line.say(event("Newchannel", line.clock.now(), channel("1.6")))
    line.say(pong(line, line.id_of("Ping")))
    assert line.told() == [("Newchannel", "1.6"), ("source.up", "")]


def test_an_end_during_the_audit_is_not_revived() -> None:
    """The row is older than the Hangup."""
    line = started()
    line.told()
    audit(line, channel("1.6"), during=[event("Hangup", line.clock.now(), channel("1.6"))])
    assert line.told() == [("Hangup", "1.6"), ("source.up", "")]
    assert line.session.position["seen_us"] > 0


def test_audits_can_be_turned_off() -> None:
    """0 seconds: never. And a PBX that does not let us take stock is not asked for ever."""
    line = started(audits=0)
    line.clock.advance(29)
    line.listen()
    assert [a["action"] for a in line.asked].count("CoreShowChannels") == 1
    line = Line(config=replace(CONFIG, audit_seconds=20))
    line.log_in()
    line.say(line.pong(), line.ok("CoreStatus"))
    line.say(message(Response="Error", ActionID=line.id_of("CoreShowChannels"), Message="Permission denied"))
    line.say(line.rows("BridgeList", "BridgeListItem"), line.rows("QueueStatus", "QueueEntry"))
    for _ in range(10):
        line.clock.advance(10)
        line.listen()
        line.say(line.pong())
    assert [a["action"] for a in line.asked].count("CoreShowChannels") == 1


def test_a_resync_in_the_middle_of_an_audit_takes_its_place() -> None:
    """Asterisk says that it has booted while it is being asked: the old lists count for nothing."""
    line = started(channel("1.4"))
    line.told()
    audit(line, channel("1.4"), until=False)
    old = line.id_of("Ping")
    line.say(message(Event="FullyBooted", Privilege="system,all", Status="Fully Booted"))
    line.resync(channel("1.8"))
    line.say(pong(line, old))
    kinds = [kind for kind, _ in line.told()]
    assert kinds == ["gap.detected", "CoreShowChannel*", "gap.resolved", "FullyBooted"]
    audit(line, channel("1.8"))
    assert stock(line).data["live"] == "1.8"


def test_an_inventory_forgets_what_is_gone() -> None:
    """Ends that were lost do not pile up, and a channel that began while the list was made stays known."""
    inventory = Inventory()
    inventory.heard(event("Newchannel", 1, channel("1.1")))
    inventory.begin()
    inventory.heard(event("Newchannel", 2, channel("1.2")))
    assert inventory.compare([]) == (set(), {b"1.1"})
    inventory.begin()
    assert inventory.compare([b"1.1", b"1.2"]) == ({b"1.1"}, set())


def test_ids_with_a_blank_stay_one() -> None:
    """A click-to-call may give its channel any name."""
    assert told([b"1.1", b"click 1"]) == "1.1 click%201"
    assert parse(b"Event: X\r\nUniqueid: click 1")["uniqueid"] == "click 1"

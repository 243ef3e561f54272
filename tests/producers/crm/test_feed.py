"""The contact feed: nothing is missed and nothing is invented, whatever moves while it looks."""

import asyncio
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from producers.crm.feed import ContactFeed
from producers.crm.topic import Position
from streams.clients.crm import PortalConfig
from streams.runtime.clock import ManualClock
from tests.producers.crm.fakes import FakeContacts, FakeTopic

CONFIG = PortalConfig(country="BE", sweep_s=60, overlap_s=300, reconcile_s=3600)


class Desk:
    """A feed between a CRM and a topic, turned by hand."""

    def __init__(self, config: PortalConfig = CONFIG) -> None:
        self.clock = ManualClock()
        self.crm, self.topic = FakeContacts(self.clock), FakeTopic()
        self.feed = ContactFeed("crm", "acme", self.crm, self.topic, config, clock=self.clock)

    def turn(self, times: int = 1, *, seconds: float = 1) -> None:
        """Let the feed look, and time pass."""

        async def turns() -> None:
            position = self.topic.position or Position(token="0")
            for _ in range(times):
                position = await self.feed.turn(position)
                self.clock.advance(seconds)

        asyncio.run(turns())

    def agrees(self) -> bool:
        """Whether the topic says of each contact what the CRM says."""
        said = {i: (c.name, c.raw_numbers, c.updated_at) for i, c in self.topic.says.items()}
        return said == {i: (f.name, f.numbers, f.updated_at) for i, f in self.crm.rows.items()}


def test_a_first_start_scans_everything_and_then_follows() -> None:
    """The position is settled after the records it stands for; later only changes are read."""
    desk = Desk()
    for n in range(5):
        desk.crm.put(f"C{n}", told=False)
    desk.turn()
    assert desk.topic.effects == [*(f"put C{n}" for n in range(5)), "settle"]
    desk.crm.put("C1", name="Zoë")
    desk.crm.delete("C2")
    desk.topic.effects.clear()
    desk.crm.asked.clear()
    desk.turn()
    assert desk.topic.effects == ["put C1", "remove C2", "settle"]
    assert desk.crm.asked == []
    assert desk.agrees()


def test_numbers_are_normalised_and_kept_as_typed() -> None:
    """E.164 once each by the CRM's country; what is no number stays readable."""
    desk = Desk()
    numbers = ("0470/12.34.99", "+32 470 12 34 99", "+33 1 23 45 67 89", "ask Ada")
    desk.crm.put("C1", name="Zoë", numbers=numbers, owner="ada", priority=5, segment="gold", kind="company")
    desk.turn()
    contact = desk.topic.says["C1"]
    assert contact.numbers == ("+32470123499", "+33123456789")
    assert contact.raw_numbers == numbers
    assert (contact.tenant, contact.crm, contact.owner, contact.priority) == ("acme", "crm", "ada", 5)
    assert (contact.segment, contact.kind, contact.name) == ("gold", "company", "Zoë")


def test_what_changes_while_it_scans_is_not_missed() -> None:
    """Created, changed and deleted between two pages, before and behind the cursor."""
    desk = Desk()
    for n in range(6):
        desk.crm.put(f"C{n}", told=False)

    def behind() -> None:
        desk.crm.put("C0", name="changed behind")
        desk.crm.delete("C1")
        desk.crm.put("C9")

    def ahead() -> None:
        desk.crm.put("C5", name="changed ahead")
        desk.crm.delete("C4")

    desk.crm.between = [lambda: None, behind, ahead]
    desk.turn(2)
    assert desk.agrees()
    assert desk.topic.says["C0"].name == "changed behind"


def test_a_change_that_the_feed_lost_is_found_by_the_next_sweep() -> None:
    """Also one whose transaction began long before it became visible, and two of the same second."""
    desk = Desk()
    desk.crm.put("C1")
    desk.turn()
    desk.clock.advance(100)
    desk.turn()
    began = desk.clock.now() // 1_000_000 - 200
    desk.crm.put("C2", at=began, told=False)
    desk.crm.put("C3", told=False)
    desk.crm.put("C3", name="again", told=False)
    desk.turn()
    assert not desk.agrees()
    desk.clock.advance(60)
    desk.turn()
    assert desk.agrees()


def test_without_an_overlap_a_long_transaction_would_be_lost() -> None:
    """The proof that the overlap is what finds it."""
    desk = Desk(replace(CONFIG, overlap_s=0))
    desk.crm.put("C1")
    desk.turn()
    desk.clock.advance(100)
    desk.turn()
    desk.crm.put("C2", at=desk.clock.now() // 1_000_000 - 50, told=False)
    desk.clock.advance(60)
    desk.turn(2)
    assert not desk.agrees()


def test_a_deletion_that_nobody_told_is_found_by_the_full_scan() -> None:
    """Asked for by its id before its tombstone is written."""
    desk = Desk()
    desk.crm.put("C1")
    desk.crm.put("C2")
    desk.turn()
    desk.crm.delete("C2", told=False)
    desk.clock.advance(3600)
    desk.turn()
    assert "get C2" in desk.crm.asked
    assert desk.topic.effects[-2:] == ["remove C2", "settle"]


def test_a_contact_that_a_scan_did_not_show_is_not_declared_gone() -> None:
    """Pages may drift, an answer may be empty; only the contact's own answer counts."""
    desk = Desk()
    for n in range(4):
        desk.crm.put(f"C{n}")
    desk.turn()
    desk.crm.hidden = {"C0", "C1", "C2", "C3"}
    desk.clock.advance(3600)
    desk.turn()
    assert desk.agrees()


def test_an_expired_token_leads_to_a_full_scan() -> None:
    """Everything that happened in the hole is found, deletions too."""
    desk = Desk()
    for n in range(4):
        desk.crm.put(f"C{n}")
    desk.turn()
    desk.crm.delete("C1")
    desk.crm.put("C7")
    desk.crm.oldest = len(desk.crm.log)
    desk.turn()
    assert not desk.agrees()
    desk.turn()
    assert desk.agrees()


def test_a_token_that_expires_during_the_scan_begins_the_scan_anew() -> None:
    """A hole behind the cursor is not taken for done."""
    desk = Desk()
    for n in range(6):
        desk.crm.put(f"C{n}", told=False)

    def hole() -> None:
        desk.crm.put("C0", name="in the hole", told=False)
        desk.crm.log += [("updated", "C9")] * 5
        desk.crm.oldest = len(desk.crm.log)

    desk.crm.between = [lambda: None, hole]
    desk.turn(2)
    assert desk.agrees()


NAMES = st.sampled_from(["C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7"])


@st.composite
def deeds(draw: st.DrawFn) -> list[tuple[str, str, bool]]:
    """What people do in a CRM: (put or delete, who, whether the change feed tells)."""
    return draw(st.lists(st.tuples(st.sampled_from(["put", "delete"]), NAMES, st.booleans()), max_size=30))


@given(deeds(), st.integers())
def test_whatever_people_do_the_topic_agrees_in_the_end(done: list[tuple[str, str, bool]], seed: int) -> None:
    """Deeds fall between pages and between looks, told or not, and the feed is started anew now and then."""
    desk, rng, left = Desk(), random.Random(seed), list(done)

    def some() -> None:
        for _ in range(rng.randrange(3)):
            if left:
                kind, who, told = left.pop(0)
                if kind == "put":
                    desk.crm.put(who, name=str(len(left)), told=told)
                elif who in desk.crm.rows:
                    desk.crm.delete(who, told=told)

    while left:
        some()
        desk.crm.between = [some] * 20
        desk.turn(seconds=rng.choice((1, 70, 4000)))
    desk.crm.between = []
    desk.turn(seconds=4000)
    desk.turn(seconds=4000)
    assert desk.agrees()

"""Contacts of a real CRM process on the real Kafka: nothing lost, nothing said twice, whatever is killed."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from producers.crm.topic import ContactTopic, Position
from schemas.events import Contact
from streams.embedded.crm.process import EmbeddedCrm
from streams.runtime.config import Kafka
from tests.support.crm import CLOCK, Crm, Role, latest, read

FEED = "tests.producers.crm.feed_process"


def said(cluster: Kafka) -> Mapping[str, str]:
    """The topic's last word on each contact: its name."""
    return {contact.contact_id: contact.name for contact in latest(cluster, "contacts", Contact).values()}


def wait_for(what: Callable[[], bool], *, within: float = 60.0) -> None:
    deadline = CLOCK.monotonic() + within
    while not what():
        assert CLOCK.monotonic() < deadline, "it did not come about in time"
        CLOCK.sleep(0.2)


@pytest.mark.integration
@pytest.mark.timeout(200)
def test_contacts_follow_the_crm_through_kills_and_say_nothing_twice(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """Created, changed, merged and deleted while the feed is killed again and again, and the CRM once."""
    expected = {"C1": "Zoë Čapková"}
    with Role(FEED, cluster, sandbox, tmp_path / "log", poll_s=0.2, sweep_s=5, feed_rate_per_s=200) as feed:
        for round_ in range(5):
            many: list[dict[str, Any]] = [
                {"id": f"N{round_}.{n}", "name": f"{round_}", "numbers": ["0123456789"]} for n in range(1200)
            ]
            crm.post("/api/contacts/import", {"contacts": many})
            expected |= {c["id"]: str(round_) for c in many}
            crm.faults(throttled=0.1, dropped=0.1, error_in_200=0.1, retry_after_s=0.05)
            wait_for(lambda: any(name == str(round_) for name in said(cluster).values()))  # noqa: B023 - called at once
            feed.kill()
            if round_ == 2:
                sandbox.kill()
                sandbox.start()
            crm.faults()
            crm.delete(f"/api/contacts/N{round_}.7")
            crm.post(f"/api/contacts/N{round_}.8/merge", {"into": f"N{round_}.9"})
            crm.patch(f"/api/contacts/N{round_}.1", {"name": "changed"})
            expected |= {f"N{round_}.1": "changed"}
            del expected[f"N{round_}.7"], expected[f"N{round_}.8"]
        wait_for(lambda: said(cluster) == expected)
        assert feed.stop() == 0
    told = Counter(c.contact_id for c in read(cluster, "contacts", Contact) if c is not None)
    assert max(told.values()) <= 2, "said again without a change"
    assert {i for i, times in told.items() if times == 2} <= {f"N{r}.{n}" for r in range(5) for n in (1, 9)}
    assert "C1" in told


@pytest.mark.integration
def test_what_the_change_feed_lost_and_a_long_transaction_are_found(
    cluster: Kafka, sandbox: EmbeddedCrm, crm: Crm, tmp_path: Path
) -> None:
    """A lossy feed, a write that shows long after its time, and the same second: the overlapping sweep has them all."""
    keys: dict[str, Any] = {"poll_s": 0.2, "sweep_s": 1, "overlap_s": 30}
    with Role(FEED, cluster, sandbox, tmp_path / "log", **keys) as feed:
        wait_for(lambda: said(cluster) == {"C1": "Zoë Čapková"})
        crm.faults(lost_changes=1, commit_lag_s=4)
        crm.post("/api/contacts", {"id": "C2", "name": "late"})
        crm.faults(lost_changes=1)
        crm.post("/api/contacts", {"id": "C3", "name": "lost"})
        crm.patch("/api/contacts/C3", {"name": "lost again"})
        wait_for(lambda: said(cluster) == {"C1": "Zoë Čapková", "C2": "late", "C3": "lost again"})
        assert feed.stop() == 0


@pytest.mark.integration
def test_the_position_is_kept_on_the_log(cluster: Kafka) -> None:
    """A new process reads back what was settled, and what the topic says."""
    topic = ContactTopic(cluster, "crm")
    assert topic.recall() is None
    contact = Contact(tenant="acme", crm="crm", contact_id="C1", name="Zoë", updated_at=1)
    other = Contact(tenant="acme", crm="other", contact_id="C1", name="Ada", updated_at=1)
    topic.put(contact)
    ContactTopic(cluster, "other").put(other)
    position = Position(token="a:1", swept=2, reconciled=3)
    topic.settle(position)
    again = ContactTopic(cluster, "crm")
    assert again.recall() == position
    assert list(again.known()) == ["C1"]
    again.put(contact)
    again.remove("C2")
    again.remove("C1")
    again.remove("C1")
    again.settle(position)
    assert [c if c is None else c.name for c in read(cluster, "contacts", Contact)].count(None) == 1
    assert [c.name for c in read(cluster, "contacts", Contact) if c and c.crm == "crm"] == ["Zoë"]

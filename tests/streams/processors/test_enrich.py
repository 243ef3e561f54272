"""enrich: the event's own bytes and the customer's tail, each event once."""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import UndecodableError
from schemas.events import CallEvent, Contact, EnrichedCallEvent
from schemas.samples import samples
from streams.processors import enrich
from streams.processors.contacts import Contacts
from streams.processors.dedupe import Seen
from streams.processors.enrich import Enrich
from streams.runtime.pipeline import Message, Record, Refused
from tests.support.memory import MemoryMessage

NUMBER = "+32470123456"
EVENTS: list[CallEvent] = samples("call-events")
EVENT = replace(EVENTS[0], customer_number=NUMBER)


@pytest.fixture
def task() -> Enrich:
    return make_task()


def make_task() -> Enrich:
    """A task that knows one contact."""
    known = Contacts()
    person = Contact(tenant="acme", crm="crm", contact_id="7", name="Zoë", numbers=(NUMBER,), updated_at=1)
    known.put(b"crm:7", codec.encode(person))
    return Enrich(Seen(1000), known)


def messages(*values: bytes | None) -> list[Message]:
    return [MemoryMessage(value, 0, offset) for offset, value in enumerate(values)]


def published(answers: Iterable[Record | Refused]) -> list[EnrichedCallEvent]:
    return [codec.decode(EnrichedCallEvent, a[1] or b"") for a in answers if not isinstance(a, Refused)]


def number_free(**more: object) -> EnrichedCallEvent:
    """What becomes of an event without a customer's number."""
    plain = replace(EVENT, customer_number="", direction="", data={})
    (found,) = published(make_task().process(messages(codec.encode(replace(plain, **more))), 0))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.type))
def test_every_example_keeps_all_its_fields(task: Enrich, event: CallEvent) -> None:
    """What is published is the event, field by field, and the customer behind it."""
    (found,) = published(task.process(messages(codec.encode(event)), 0))
    assert {f.name: getattr(found, f.name) for f in fields(CallEvent)} == asdict(event)


def test_a_known_customer_is_on_the_event(task: Enrich) -> None:
    """By the number that stands in the event's first bytes; the key goes along."""
    (answer,) = task.process(messages(codec.encode(EVENT)), 0)
    assert not isinstance(answer, Refused)
    assert answer[0] == b"key"
    (found,) = published([answer])
    assert (found.match, found.contact_id, found.contact_name) == ("matched", "7", "Zoë")


def test_a_stranger_is_none(task: Enrich) -> None:
    """A number that the CRM does not know."""
    (found,) = published(task.process(messages(codec.encode(replace(EVENT, customer_number="+3225550000"))), 0))
    assert (found.match, found.contact_id) == ("none", "")


def test_a_hidden_caller_is_hidden() -> None:
    """The adapter says so in the event's data."""
    assert number_free(data={"hidden": "1"}).match == "hidden"


def test_an_internal_call_is_internal() -> None:
    """The adapter says so in the direction."""
    assert number_free(direction="internal").match == "internal"


@pytest.mark.parametrize("trap", ["\x0chidden\x021", "\x10internal"])
def test_a_name_that_looks_like_the_mark_is_not_the_mark(trap: str) -> None:
    """Whatever a caller calls himself, only the field itself counts."""
    assert number_free(caller_name=trap).match == "none"


def test_neither_is_none() -> None:
    """Nobody's number, and nothing said about why."""
    assert number_free(data={"hidden": "0"}, direction="outbound").match == "none"


def test_the_same_event_is_published_once(task: Enrich) -> None:
    """In one batch, and in another."""
    value = codec.encode(EVENT)
    assert len(list(task.process(messages(value, value), 0))) == 1
    assert list(task.process(messages(value), 0)) == []


def test_what_the_output_holds_is_seen(task: Enrich) -> None:
    """A new owner that recalled an event does not publish it again."""
    (answer,) = make_task().process(messages(codec.encode(EVENT)), 0)
    assert not isinstance(answer, Refused)
    task.recall(answer[1] or b"")
    assert list(task.process(messages(codec.encode(EVENT)), 0)) == []


@pytest.mark.parametrize(
    "value",
    [None, b"", b"junk", codec.encode(EVENT)[:60], codec.encode(EVENT)[:5], codec.encode(samples("contacts")[0])],
    ids=["tombstone", "empty", "junk", "cut", "header only", "another record"],
)
def test_what_is_no_event_is_refused(task: Enrich, value: bytes | None) -> None:
    """The record itself is handed over for the dead letters, with a reason, and the next goes on."""
    first, second = task.process(messages(value, codec.encode(EVENT)), 0)
    assert isinstance(first, Refused)
    assert (first.message.value(), first.stage) == (value, "enrich")
    assert first.reason
    assert not isinstance(second, Refused)


def test_a_record_that_leaves_no_room_is_refused(task: Enrich) -> None:
    """The broker would refuse the whole batch."""
    huge = codec.encode(replace(EVENT, data={"x": "y" * enrich._LONGEST}))
    (answer,) = task.process(messages(huge), 0)
    assert isinstance(answer, Refused)
    assert "leave no room" in answer.reason


def test_a_refused_event_can_come_again(task: Enrich) -> None:
    """What was refused was not published: mended and written anew, it is no duplicate."""
    whole = codec.encode(EVENT)
    (refused,) = task.process(messages(whole[:-1] + b"\x02"), 0)
    assert isinstance(refused, Refused)
    assert len(published(task.process(messages(whole), 0))) == 1


def test_an_older_version_takes_the_slow_road(task: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event under another schema number is decoded, and published in the current version."""
    value = codec.encode(EVENT)
    monkeypatch.setattr(enrich, "_CURRENT", b"\x00\x00\x00\x00\x01")
    (found,) = published(task.process(messages(value), 0))
    assert (found.event_id, found.contact_id) == (EVENT.event_id, "7")


def test_the_last_byte_of_an_event_is_zero() -> None:
    """The cheap check for a record that was cut stands on the last field being a map."""
    assert fields(CallEvent)[-1].name == "data"
    assert all(codec.encode(event)[-1] == 0 for event in EVENTS)


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(lambda junk: enrich._CURRENT + junk), max_size=5))
def test_arbitrary_bytes_break_nothing(values: list[bytes]) -> None:
    """Each is answered: refused, or passed on under a known frame for its reader to judge, or a duplicate of one."""
    answers = list(make_task().process(messages(*values), 0))
    refused = [a for a in answers if isinstance(a, Refused)]
    assert len(answers) <= len(values)
    for value in values:
        if value[:5] != enrich._CURRENT:
            with pytest.raises(UndecodableError):
                codec.decode(CallEvent, value)
            assert value in [a.message.value() for a in refused]

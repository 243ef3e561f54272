"""The ledger in memory: bounded, newest kept, and honest about what it forgot."""

from schemas.codec import encode
from schemas.events import CrmWrite
from sinks.crm.memory import Memory


def write(number: int, state: str = "CONFIRMED") -> bytes:
    call_id = f"main:{number}"
    return encode(CrmWrite(tenant="acme", crm="crm", call_id=call_id, state=state, rev=1, at=number * 1_000_000))


def test_the_last_record_of_a_call_counts() -> None:
    """A later record replaces the earlier one."""
    memory = Memory(1 << 20)
    memory.put(0, "main:1", write(1, "INTENT"))
    memory.put(0, "main:1", write(1))
    found = memory.last(0, "main:1")
    assert found is not None
    assert found.state == "CONFIRMED"
    assert memory.last(1, "main:1") is None


def test_it_forgets_the_oldest_and_marks_how_far() -> None:
    """Of 1,000 records only the newest fit; everything later than the mark is there."""
    memory = Memory(10_000)
    for number in range(1000):
        memory.put(0, f"main:{number}", write(number))
    there = [n for n in range(1000) if memory.last(0, f"main:{n}")]
    assert 10 < len(there) < 40
    assert there == list(range(there[0], 1000))
    assert memory.mark(0) == (there[0] - 1) * 1_000_000
    assert memory.mark(1) == 0


def test_a_record_that_is_written_again_is_young_again() -> None:
    """Age is counted from the last write, not from the first."""
    memory = Memory(10_000)
    memory.put(0, "main:0", write(0))
    for number in range(1, 100):
        memory.put(0, f"main:{number}", write(number))
        memory.put(0, "main:0", write(0))
    assert memory.last(0, "main:0") is not None


def test_a_partition_that_is_given_up_is_forgotten_alone() -> None:
    """The others keep their records, and the mark is the new owner's to set."""
    memory = Memory(1 << 20)
    memory.put(0, "main:1", write(1))
    memory.put(1, "main:2", write(2))
    memory.forget(0, mark=7)
    assert memory.last(0, "main:1") is None
    assert memory.last(1, "main:2") is not None
    assert memory.mark(0) == 7

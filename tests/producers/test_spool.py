"""The disk spool: order and durability over restarts, crashes in the middle of a write, and damage."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.spool import Spool

CRASH = "crash"
TAKE = "take"
DONE = "done"


def drain(spool: Spool) -> list[bytes]:
    return list(spool.take(1 << 30))


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([TAKE, DONE, CRASH])), max_size=40))
def test_every_record_comes_in_order_until_it_is_done(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | str]
) -> None:
    """Appends, takes, dones and crashes in any order: a new owner gets exactly what was appended and not done."""
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, 1 << 20, segment=100)
    wanted: list[bytes] = []
    taken = 0
    for step in steps:
        if isinstance(step, bytes):
            assert spool.append(step)
            wanted.append(step)
        elif step == TAKE:
            got = list(spool.take(2))
            assert got == wanted[taken : taken + 2]
            taken += len(got)
        elif step == DONE:
            spool.done(min(taken, 1))
            wanted, taken = wanted[min(taken, 1) :], max(0, taken - 1)
        else:
            spool.close()  # nothing of it knows of a crash: the files are as they were after the last write
            spool, taken = Spool(folder, 1 << 20, segment=100), 0
        assert spool.waiting == (taken < len(wanted))
    spool.close()
    assert drain(Spool(folder, 1 << 20)) == wanted


def test_a_half_written_record_is_cut_off(tmp_path: Path) -> None:
    """A process killed in the middle of a write loses that record only, wherever the write stopped, and it is counted."""
    spool = Spool(tmp_path / "whole", 1 << 20)
    for record in (b"first", b"second"):
        spool.append(record)
    spool.close()
    (segment,) = (tmp_path / "whole").glob("*.log")
    data = segment.read_bytes()
    second = len(data) - 8 - len(b"second")
    for end in range(second, len(data)):
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / segment.name).write_bytes(data[:end])
        again = Spool(folder, 1 << 20)
        assert again.torn == end - second
        assert again.append(b"third")
        assert drain(again) == [b"first", b"third"]
        again.close()


def test_damage_in_the_middle_costs_the_rest_of_its_segment(tmp_path: Path) -> None:
    """A record that does not match its checksum is never given; what is lost with it is counted, later segments are read."""
    spool = Spool(tmp_path, 1 << 20, segment=30)
    for record in (b"a" * 20, b"b" * 20, b"c" * 20, b"d" * 20):
        spool.append(record)
    spool.close()
    first = min(tmp_path.glob("*.log"))
    data = bytearray(first.read_bytes())
    data[40] ^= 1
    first.write_bytes(data)
    again = Spool(tmp_path, 1 << 20)
    assert drain(again) == [b"a" * 20, b"c" * 20, b"d" * 20]
    assert again.damaged == 28


def test_a_full_spool_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The limit holds; after what was there is done, there is room again."""
    spool = Spool(tmp_path, 250, segment=100)
    accepted = [n for n in range(20) if spool.append(bytes([n]) * 40)]
    assert 3 <= len(accepted) < 20
    assert accepted == list(range(len(accepted)))
    assert sum(p.stat().st_size for p in tmp_path.glob("*.log")) <= 250
    assert len(drain(spool)) == len(accepted)
    spool.done(len(accepted))
    assert spool.append(b"again")
    spool.close()


def test_what_is_done_leaves_the_disk(tmp_path: Path) -> None:
    """Segments without a wanted record are deleted, at once and by the next owner."""
    spool = Spool(tmp_path, 1 << 20, segment=50)
    for n in range(10):
        spool.append(b"%d" % n * 30)
    assert len(list(tmp_path.glob("*.log"))) == 5
    spool.take(10)
    spool.done(4)
    assert len(list(tmp_path.glob("*.log"))) == 3
    spool.done(6)
    assert list(tmp_path.glob("*.log")) == []
    assert not Spool(tmp_path, 1 << 20).waiting


def test_records_under_way_are_kept_for_the_next_owner_only(tmp_path: Path) -> None:
    """`taken` records are not given to the process that has them under way, but to the next one unless done."""
    spool = Spool(tmp_path, 1 << 20)
    for record in (b"a", b"b", b"c"):
        spool.append(record, taken=True)
    assert not spool.waiting
    spool.append(b"d")
    assert list(spool.take(5)) == [b"d"]
    spool.done(2)
    spool.close()
    assert drain(Spool(tmp_path, 1 << 20)) == [b"c", b"d"]

"""What the embedded engine acknowledged outlives its process, however that ends."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from streams.embedded.clickhouse import EmbeddedClickHouse
from streams.runtime.errors import Fatal

pytestmark = pytest.mark.integration

_TABLE = (
    "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a PARTITION BY a % 2"
    " SETTINGS non_replicated_deduplication_window = 10000"
)
_BATCH = 50


def ask(engine: EmbeddedClickHouse, query: str, **params: str) -> str:
    return httpx.post(engine.url, params=params, content=query, timeout=30).raise_for_status().text.strip()


def insert(engine: EmbeddedClickHouse, batch: int) -> None:
    values = "\n".join(str(batch * _BATCH + n) for n in range(_BATCH))
    ask(engine, f"INSERT INTO t FORMAT CSV\n{values}\n", insert_deduplication_token=f"batch {batch}", async_insert="0")


def test_killed_in_the_middle_of_inserts(tmp_path: Path) -> None:
    """Four writers, three kills: with every unanswered insert tried again, each row is there exactly once."""
    engine = EmbeddedClickHouse(tmp_path)
    engine.start()
    ask(engine, _TABLE)
    answered: set[int] = set()
    tried = 0
    for kills in range(1, 4):
        enough = threading.Event()

        def write(batch: int, enough: threading.Event = enough, goal: int = kills * 30) -> None:
            if not enough.is_set():
                insert(engine, batch)
                answered.add(batch)
                if len(answered) >= goal:
                    enough.set()

        with ThreadPoolExecutor(4) as pool:
            batches = [batch for batch in range(tried + 40) if batch not in answered]
            results = [pool.submit(write, batch) for batch in batches]
            assert enough.wait(60)
            engine.kill()
            failed = [result.exception() for result in results if result.exception()]
        assert all(isinstance(error, httpx.TransportError) for error in failed)
        tried = max(batches) + 1
        engine.start()
    with engine:
        for batch in range(tried):
            if batch not in answered:
                insert(engine, batch)
        assert ask(engine, "SELECT count(), uniqExact(a) FROM t") == f"{tried * _BATCH}\t{tried * _BATCH}"


def test_retry_after_a_kill_between_token_and_rows(tmp_path: Path) -> None:
    """An insert that was killed after its token was noted and before its rows were in place is not taken for done."""
    with EmbeddedClickHouse(tmp_path) as engine:
        ask(engine, _TABLE)
        insert(engine, 0)
    for part in (tmp_path / "engine" / "store").glob("*/*/1_*"):
        part.rename(part.with_name(f"tmp_insert_{part.name}"))  # as the kill leaves it
    with engine:
        assert ask(engine, "SELECT count() FROM t") == str(_BATCH // 2)
        insert(engine, 0)
        assert ask(engine, "SELECT count(), uniqExact(a) FROM t") == f"{_BATCH}\t{_BATCH}"


def test_folder_has_one_owner(tmp_path: Path) -> None:
    """A second process on the same folder is refused, and the first one goes on."""
    with EmbeddedClickHouse(tmp_path) as first:
        second = EmbeddedClickHouse(tmp_path)
        with pytest.raises(Fatal, match="did not answer"):  # it waits for a former owner that is about to stop
            second.start(wait=2)
        with pytest.raises(Fatal, match=f"port {first.port} on the loopback is taken"):
            EmbeddedClickHouse(tmp_path / "other", port=first.port).start()
        assert ask(first, "SELECT 1") == "1"


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    """Stop returns when the process is gone, and the tables are there at the next start on the same port."""
    engine = EmbeddedClickHouse(tmp_path)
    with engine:
        ask(engine, "CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
        ask(engine, "INSERT INTO kept VALUES (7)")
        assert engine.pid is not None
        process = psutil.Process(engine.pid)
        process.terminate()
        assert process.wait(30) == 0
    with engine:
        assert ask(engine, "SELECT a FROM kept") == "7"


def test_missing_password_file_is_told(tmp_path: Path) -> None:
    """A secret that is not there stops the start: the engine never runs open by mistake."""
    with pytest.raises(Fatal, match="with the password does not exist"):
        EmbeddedClickHouse(tmp_path, password_file=tmp_path / "nowhere").start()

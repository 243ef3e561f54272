"""Kafka's jars count only when they are all there and are the expected ones."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded import jars
from streams.embedded.jars import default_cache, fingerprint, kafka_jars
from streams.runtime.errors import Fatal

_FILES = {"a.jar": b"aaa", "b.jar": b"bbb"}


def resolve(repository: Path, _: jars.Progress) -> Iterator[Path]:
    """Stand in for Maven Central: the same files every time."""
    repository.mkdir(parents=True)
    for name, content in _FILES.items():
        (repository / name).write_bytes(content)
        yield repository / name


@pytest.fixture
def central(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder whose downloads come from `resolve`, and are expected to be just those."""
    expected = tmp_path / "expected"
    for _ in resolve(expected, print):
        pass
    monkeypatch.setattr(jars, "_FINGERPRINT", fingerprint(expected))
    monkeypatch.setattr(jars, "_resolve", resolve)
    return tmp_path / "cache"


def test_download_is_told_and_done_once(central: Path) -> None:
    """The first call says what it does, the second one has nothing to do or say."""
    said: list[str] = []
    folder = kafka_jars(central, said.append)
    assert {jar.name: jar.read_bytes() for jar in folder.iterdir()} == _FILES
    assert len(said) >= 2
    said.clear()
    assert kafka_jars(central, said.append) == folder
    assert said == []


def test_cut_download_never_counts(central: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that breaks off is an error that says what to do, and the next call begins again."""

    def broken(repository: Path, progress: jars.Progress) -> Iterator[Path]:
        yield next(resolve(repository, progress))
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(jars, "_resolve", broken)
    with pytest.raises(Fatal, match=r"reset by peer.*check the way to Maven Central"):
        kafka_jars(central, print)
    monkeypatch.setattr(jars, "_resolve", resolve)
    assert len(list(kafka_jars(central, print).iterdir())) == 2


def test_altered_jars_are_refused(central: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar with other contents than the tested one is never run."""
    monkeypatch.setitem(_FILES, "b.jar", b"evil")
    with pytest.raises(Fatal, match="not the expected ones"):
        kafka_jars(central, print)
    monkeypatch.setitem(_FILES, "b.jar", b"bbb")
    assert kafka_jars(central, print).is_dir()


def test_downloads_at_the_same_time_are_one(central: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second waits for the first and downloads nothing."""
    downloads: list[int] = []

    def counted(repository: Path, progress: jars.Progress) -> Iterator[Path]:
        downloads.append(1)
        yield from resolve(repository, progress)

    monkeypatch.setattr(jars, "_resolve", counted)
    threads = [threading.Thread(target=kafka_jars, args=(central, print)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert downloads == [1]


def test_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRUNKLINE_CACHE names it; else it is in the home folder."""
    monkeypatch.setenv("TRUNKLINE_CACHE", "/elsewhere")
    assert default_cache() == Path("/elsewhere")
    monkeypatch.delenv("TRUNKLINE_CACHE")
    assert default_cache() == Path.home() / ".cache" / "trunkline"

"""Kafka's jars: fetched once from Maven Central into a cache that processes share."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from streams.runtime.errors import Fatal

KAFKA_VERSION = "4.4.0"
_KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka logs through slf4j 1.7 and its distribution adds this binding; without it the broker is mute. Resolved by itself:
# its parent POM names versions of other jars (an old kafka-clients among them) that would replace Kafka's own.
_LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5"
# sha256 over the sorted lines "<sha256 of the jar>  <name>": what runs is what was tested, whoever served it.
_FINGERPRINT = "d845ed56af866c5a31aed2d53f1894fbfbd15fd51043746f51c2369002045985"
_SIZE = 44_592_000
_MEGABYTE = 1_000_000

Progress = Callable[[str], None]
"""Told, in one line for a person, what is going on."""


def default_cache() -> Path:
    """$TRUNKLINE_CACHE, else ~/.cache/trunkline."""
    return Path(os.environ.get("TRUNKLINE_CACHE") or "~/.cache/trunkline").expanduser()


def kafka_jars(cache: Path, progress: Progress) -> Path:
    """Return the folder with Kafka's jars, downloading them (45 MB) the first time.

    Processes that come at the same time wait for the first one. A download that is cut or altered never counts: the
    folder appears, by one rename, when all jars are there and have the expected contents; else `Fatal`.
    """
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _download(folder, progress)
    return folder


def _download(folder: Path, progress: Progress) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed download left may be cut anywhere
    (partial / "jars").mkdir(parents=True)
    progress(f"Kafka {KAFKA_VERSION}: asking Maven Central which jars it needs (once, about 10 s)")
    try:
        for jar in _resolve(partial / "maven", progress):
            jar.rename(partial / "jars" / jar.name)
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors, jgo's the other two
        raise Fatal(
            f"Kafka's jars could not be downloaded ({error}): check the way to Maven Central, "
            f"or copy {folder} from a machine that has it"
        ) from error
    found = fingerprint(partial / "jars")
    if found != _FINGERPRINT:
        raise Fatal(f"Kafka's jars are not the expected ones (fingerprint {found}): somebody on the way altered them")
    (partial / "jars").rename(folder)
    shutil.rmtree(partial)
    progress(f"Kafka {KAFKA_VERSION}: ready in {folder}")


def _resolve(repository: Path, progress: Progress) -> Iterator[Path]:
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - half a second that a warm start need not pay

    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, timeout=60)
    kafka, binding = context.create_dependency(_KAFKA), context.create_dependency(_LOG_BINDING)
    _, needed = context.resolver.resolve([kafka])
    wanted = [kafka.artifact, binding.artifact, *(d.artifact for d in needed if d.scope in {"compile", "runtime"})]
    fetched = 0
    for number, artifact in enumerate(wanted, start=1):
        done = f"{fetched / _MEGABYTE:.0f} of {_SIZE / _MEGABYTE:.0f} MB"
        progress(f"Kafka {KAFKA_VERSION}: jar {number} of {len(wanted)}, {done}: {artifact.filename}")
        jar = artifact.resolve()
        fetched += jar.stat().st_size
        yield jar


def fingerprint(folder: Path) -> str:
    """sha256 over names and contents of all jars in the folder."""
    lines = sorted(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in folder.glob("*.jar"))
    return hashlib.sha256("".join(lines).encode()).hexdigest()

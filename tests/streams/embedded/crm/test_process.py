"""The sandbox as a process: what was acknowledged survives SIGKILL, webhooks arrive signed, a stop is clean."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from pydantic import ValidationError

from streams.embedded.crm.hooks import HookIn
from streams.embedded.crm.process import EmbeddedCrm
from streams.runtime.clock import SystemClock
from streams.runtime.errors import Fatal

SECRET = "a-secret-of-the-webhook"


def client(crm: EmbeddedCrm) -> httpx.Client:
    return httpx.Client(base_url=crm.url, headers={"authorization": f"Bearer {crm.token}"}, timeout=30)


@pytest.mark.integration
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Every contact and every call that was answered with 201 is there after SIGKILL, under the same address."""
    with EmbeddedCrm(tmp_path) as crm, client(crm) as http:
        for round_ in range(3):
            for n in range(20):
                http.post("/api/activities", json={"call_id": f"main:{round_}.{n}"}).raise_for_status()
            crm.kill()
            crm.start()
        there = http.get("/api/activities", params={"limit": "500"}).raise_for_status().json()["items"]
        assert [a["call_id"] for a in there] == [f"main:{r}.{n}" for r in range(3) for n in range(20)]


@pytest.mark.integration
def test_a_stop_is_clean_and_the_log_tells_no_secret(tmp_path: Path) -> None:
    """SIGTERM ends it with code 0 soon; neither token nor number is in its log."""
    crm = EmbeddedCrm(tmp_path)
    crm.start()
    with client(crm) as http:
        http.get("/api/contacts", params={"phone": "+32470123499"}).raise_for_status()
        http.put("/admin/faults", json={"lost_answer": 1}).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            http.post("/api/contacts", json={"numbers": ["+32470123499"]})
    process = crm._process
    assert process is not None
    crm.stop(wait=15)
    assert process.returncode == 0
    log = (tmp_path / "crm.log").read_text()
    assert crm.token not in log
    assert "470123499" not in log


@pytest.mark.integration
def test_without_a_token_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that anybody on the machine may write to is not opened by accident."""
    monkeypatch.delenv("TRUNKLINE_SANDBOX_TOKEN", raising=False)
    crm = EmbeddedCrm(tmp_path)
    crm._environ = {}
    with pytest.raises(Fatal, match="a token is needed"):
        crm.start()


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks; refuses each the first time."""

    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []
    seen: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        delivery = self.headers["webhook-id"]
        again = delivery in self.seen
        self.seen.add(delivery)
        if again:
            self.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(204 if again else 500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    """The address of a running receiver."""
    Receiver.got.clear()
    Receiver.seen.clear()
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


@pytest.mark.integration
def test_webhooks_arrive_signed_until_they_are_taken(tmp_path: Path, receiver: str) -> None:
    """Each change is told again until the receiver says 2xx; the signature covers id, time and body."""
    clock = SystemClock()
    with EmbeddedCrm(tmp_path) as crm, client(crm) as http:
        http.post("/api/webhooks", json={"url": receiver, "secret": SECRET}).raise_for_status()
        assert SECRET not in http.get("/api/webhooks").text
        for n in range(5):
            http.post("/api/contacts", json={"id": f"C{n}"}).raise_for_status()
        http.delete("/api/contacts/C0").raise_for_status()
        deadline = clock.monotonic() + 30
        while len(Receiver.got) < 6 and clock.monotonic() < deadline:
            clock.sleep(0.05)
    told = [json.loads(body) for _, body in Receiver.got]
    assert sorted((t["event"], t["id"]) for t in told) == sorted(
        [("contact.deleted", "C0"), *(("contact.updated", f"C{n}") for n in range(5))]
    )
    for headers, body in Receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    "url", ["https://example.test/", "http://10.0.0.1/", "http://127.0.0.1@evil.test/", "file:///etc"]
)
def test_webhooks_call_nobody_outside(url: str) -> None:
    """A sandbox does not reach into the network on anybody's word."""
    with pytest.raises(ValidationError):
        HookIn(url=url, secret=SECRET)

"""The AMI adapter on real sockets and the real Kafka: logins, reconnects, kills, a broker that goes away, two adapters."""

import os
import signal
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pydantic import SecretStr

from producers.adapter import Frame, Notice, Reading
from producers.pbx.asterisk_ami import Config, feed, normalise
from producers.run import CHANCE, run
from schemas.codec import decode
from schemas.events import CallEvent
from streams.embedded.kafka import EmbeddedKafka
from streams.runtime.clock import SystemClock
from streams.runtime.config import Kafka, Numbers, Pbx, Settings
from streams.runtime.errors import Fatal
from tests.contracts.adapter_laws import FOLDER, frames, site
from tests.support.pbx import SECRET, channel, event, recorded
from tests.support.pbx import Pbx as FakePbx

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
WAIT = 40.0
CASES = ("inbound_answered", "queue_ringall_local", "blind_transfer")
SYNTHETIC = ("source.up", "source.down", "gap.detected", "gap.resolved", "leg.live")


class House:
    """One PBX's set-up on a broker: topics of its own, adapters as threads or processes, and what they published."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.folder = folder
        self.kafka = Kafka(bootstrap=bootstrap, topic_prefix=f"ami-{uuid.uuid4().hex}-")
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        names = [self.kafka.name("call-events"), self.kafka.name("call-events.dead")]
        for created in self._admin.create_topics([NewTopic(name, 1) for name in names]).values():
            created.result(30)

    def settings(self, port: int, data: str = "data") -> Settings:
        numbers = Numbers(country="BE", extensions=r"2\d\d", outside_prefix="9")
        own = {"host": "127.0.0.1", "port": port, "username": "trunkline", "secret": SecretStr(SECRET)}
        pbx = Pbx.model_validate({"adapter": "asterisk_ami", "numbers": numbers, **own})
        return Settings(tenant="acme", data_dir=self.folder / data, kafka=self.kafka, pbx={"main": pbx})

    @contextmanager
    def adapter(self, port: int, data: str = "data") -> Iterator[None]:
        """An adapter in this process; the end is a clean stop."""
        stop = threading.Event()
        thread = threading.Thread(target=run, args=("main", self.settings(port, data), CLOCK, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(15)
            assert not thread.is_alive()

    def child(self, port: int) -> "subprocess.Popen[bytes]":
        """An adapter as a process of its own, as the supervisor starts it."""
        config = self.folder / "trunkline.toml"
        config.write_text(
            f'tenant = "acme"\ndata_dir = "{self.folder / "child"}"\n'
            f'[kafka]\nbootstrap = "{self.kafka.bootstrap}"\ntopic_prefix = "{self.kafka.topic_prefix}"\n'
            f'[pbx.main]\nadapter = "asterisk_ami"\nhost = "127.0.0.1"\nport = {port}\nusername = "trunkline"\n'
            "[pbx.main.numbers]\ncountry = \"BE\"\nextensions = '2\\d\\d'\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "streams.runtime.cli", "run", "producer", "main", f"--config={config}"]
        return subprocess.Popen(command, env={**os.environ, "TRUNKLINE_PBX__MAIN__SECRET": SECRET})

    def published(self, enough: Callable[[list[CallEvent]], bool]) -> list[CallEvent]:
        """Everything on the topic from its beginning, once it is enough; AssertionError tells what there is."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "t", "enable.auto.commit": False})
        consumer.assign([TopicPartition(self.kafka.name("call-events"), 0, 0)])
        found: list[CallEvent] = []
        deadline = CLOCK.monotonic() + WAIT
        try:
            while not enough(found):
                assert CLOCK.monotonic() < deadline, [e.type for e in found]
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None
                    found.append(decode(CallEvent, message.value() or b""))
        finally:
            consumer.close()
        return found


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker that a test may kill; it starts it again itself."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka"), heap="400m") as broker:
        yield broker


@pytest.fixture
def house(kafka: str, tmp_path: Path) -> House:
    return House(kafka, tmp_path)


def has(kind: str, times: int = 1) -> Callable[[list[CallEvent]], bool]:
    return lambda events: [e.type for e in events].count(kind) >= times


def legs(events: list[CallEvent]) -> list[str]:
    return [e.leg_id.removeprefix("main:") for e in events if e.type not in SYNTHETIC]


def wire(case: str) -> list[bytes]:
    return recorded(FOLDER / "asterisk_ami" / case / "frames.txt")


def begun(pbx: FakePbx, sessions: int = 1) -> None:
    """Until the adapter has asked for its snapshot: what is sent from now on is live."""
    pbx.wait("QueueStatus", sessions)


def session_of(config: Config) -> list[str]:
    """The notices of one session, up to its snapshot and its clean end."""
    stop = threading.Event()
    reading = Reading(pbx="main", clock=CLOCK, chance=CHANCE, stop=stop, position={})
    kinds: list[str] = []
    deadline = CLOCK.monotonic() + WAIT
    for batch in feed(config)(reading):
        kinds += [item.type for item in batch.items if isinstance(item, Notice)]
        if "gap.resolved" in kinds or CLOCK.monotonic() > deadline:
            stop.set()
    return kinds


@pytest.mark.parametrize("md5", [True, False])
def test_login_by_challenge_or_in_the_clear(md5: bool) -> None:
    """Both ways in end in a session that is told up and down."""
    with FakePbx() as pbx:
        config = Config(host="127.0.0.1", port=pbx.port, username="u", secret=SecretStr(SECRET), md5=md5)
        assert session_of(config) == ["source.up", "gap.resolved", "source.down"]
        assert any("secret" in action for action in pbx.actions) is not md5


def test_a_wrong_secret_needs_a_person() -> None:
    """The adapter ends with words, not with a loop of attempts that locks the user out."""
    with FakePbx() as pbx:
        config = Config(host="127.0.0.1", port=pbx.port, username="u", secret=SecretStr("wrong"))
        with pytest.raises(Fatal, match=r"manager\.conf"):
            session_of(config)
        assert [a["action"] for a in pbx.actions].count("Login") == 1


@pytest.mark.skipif(which("openssl") is None, reason="openssl makes the certificate of this test, and is not here")
def test_tls_trusts_only_whom_it_is_told_to(tmp_path: Path) -> None:
    """With the CA it connects; without it a person is needed; unverified only when asked for."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True, timeout=30)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(cert, key)
    with FakePbx(tls=theirs) as pbx:

        def config(*, ca: str = "", verify: bool = True) -> Config:
            told = {"host": "localhost", "port": pbx.port, "username": "u", "secret": SecretStr(SECRET)}
            return Config(**told, tls=True, tls_ca=ca, tls_verify=verify)  # type: ignore[arg-type]

        with pytest.raises(Fatal, match="tls_ca"):
            session_of(config())
        assert session_of(config(ca=str(cert)))[0] == "source.up"
        assert session_of(config(verify=False))[0] == "source.up"


def test_a_lost_connection_is_a_gap(house: House) -> None:
    """down, up, the gap's ends, what is alive, then live events again; the order is that of the topic."""
    with FakePbx() as pbx, house.adapter(pbx.port):
        begun(pbx)
        pbx.send(event("Newchannel", CLOCK.now(), channel("1.1")))
        house.published(lambda events: "1.1" in legs(events))
        pbx.live = [channel("1.2")]
        pbx.drop()
        begun(pbx, 2)
        pbx.send(event("Hangup", CLOCK.now(), channel("1.2")))
        house.published(has("leg.ended"))
    events = house.published(has("source.down", 2))
    assert [e.type for e in events] == [
        *("source.up", "gap.resolved", "leg.created", "source.down"),
        *("source.up", "gap.detected", "leg.live", "gap.resolved", "leg.ended", "source.down"),
    ]
    created, gap, resolved = events[2], events[5], events[7]
    assert created.ts <= int(gap.data["from_us"]) < int(gap.data["to_us"]) == int(resolved.data["to_us"])
    assert resolved.data["live"] == "1.2"
    assert len({e.data["session"] for e in events if e.type in ("source.up", "gap.resolved")}) == 2


def test_two_adapters_of_one_pbx_publish_the_same_ids(house: House) -> None:
    """Active-active: each event twice on the topic, under one id, equal to the id that a recording gives."""
    known = {
        e.event_id for case in CASES for frame in frames(FOLDER / "asterisk_ami" / case) for e in _events(case, frame)
    }
    with FakePbx() as pbx, house.adapter(pbx.port, "one"), house.adapter(pbx.port, "two"):
        begun(pbx, 2)
        pbx.send(*[f for case in CASES for f in wire(case)])
        events = house.published(lambda events: len(legs(events)) >= 2 * len(known))
    seen = [e.event_id for e in events if e.type not in SYNTHETIC]
    assert set(seen) == known
    assert all(seen.count(i) == 2 for i in known)


def test_a_killed_adapter_comes_back_with_the_same_ids(house: House) -> None:
    """kill -9, a new process: the same messages have the same ids, and the gap begins before the kill."""
    with FakePbx() as pbx:
        sent = wire(CASES[0])
        children = []
        try:
            children.append(house.child(pbx.port))
            begun(pbx)
            pbx.send(*sent)
            first = house.published(has("leg.ended", 2))
            CLOCK.sleep(2.5)  # a position is saved each second
            children[0].kill()
            children[0].wait(10)
            children.append(house.child(pbx.port))
            begun(pbx, 2)
            pbx.send(*sent)
            house.published(has("leg.ended", 4))
            children[1].send_signal(signal.SIGTERM)
            assert children[1].wait(15) == 0
        finally:
            for child in children:
                child.kill()
                child.wait(10)
    events = house.published(has("source.down"))
    seen = [e.event_id for e in events if e.type not in SYNTHETIC]
    assert len(seen) == 2 * len(set(seen)) == 2 * len([e for e in first if e.type not in SYNTHETIC])
    gap = next(e for e in events if e.type == "gap.detected")
    assert 0 < int(gap.data["from_us"]) < int(gap.data["to_us"])


def test_a_broker_that_goes_away_gets_everything_in_order(mortal: EmbeddedKafka, tmp_path: Path) -> None:
    """Nothing is lost and nothing doubled while the adapter lives; a kill in between doubles only by the same id."""
    with FakePbx() as pbx:
        house = House(mortal.bootstrap, tmp_path)
        with house.adapter(pbx.port):
            begun(pbx)
            _say(pbx, 0, 50)
            house.published(lambda events: len(legs(events)) >= 50)
            mortal.kill()
            _say(pbx, 50, 150)
            CLOCK.sleep(4)  # longer than the adapter's patience: these are on disk
            _say(pbx, 150, 200)
            CLOCK.sleep(0.5)
            assert list((tmp_path / "data" / "main" / "spool").glob("*.log"))
            mortal.start()
            _say(pbx, 200, 250)
            events = house.published(lambda events: len(legs(events)) >= 250)
    assert legs(events) == [f"1.{n}" for n in range(250)]


def test_a_stop_while_the_broker_is_away_keeps_the_rest(mortal: EmbeddedKafka, tmp_path: Path) -> None:
    """A clean stop ends in time; the next adapter sends what the spool kept, before its own first word."""
    with FakePbx() as pbx:
        house = House(mortal.bootstrap, tmp_path)
        child = house.child(pbx.port)
        try:
            begun(pbx)
            house.published(has("gap.resolved"))
            mortal.kill()
            _say(pbx, 0, 100)
            CLOCK.sleep(1)
            child.send_signal(signal.SIGTERM)
            child.wait(11)
            mortal.start()
            child = house.child(pbx.port)
            events = house.published(has("source.up", 2))
            child.send_signal(signal.SIGTERM)
            child.wait(11)
        finally:
            child.kill()
            child.wait(10)
    kinds = [e.type for e in events]
    assert legs(events) == [f"1.{n}" for n in range(100)]
    assert kinds.index("source.down") < len(kinds) - 1 - kinds[::-1].index("source.up")


def _say(pbx: FakePbx, first: int, end: int) -> None:
    for n in range(first, end):
        pbx.send(event("Newstate", CLOCK.now(), channel(f"1.{n}")))


def _events(case: str, frame: Frame) -> list[CallEvent]:
    return list(normalise(frame, site("asterisk_ami", FOLDER / "asterisk_ami" / case)))

"""Each thing that can be wrong with a set-up is found, and the fix is told; what is well is said to be well."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from streams.embedded.process import free_port
from streams.runtime import connectors, doctor, topics
from streams.runtime.cli import app
from streams.runtime.clock import SystemClock
from streams.runtime.config import ClickHouse, Kafka, Settings
from streams.runtime.doctor import Finding
from streams.runtime.kafka import admin
from tests.support.ami_server import ALL, AmiServer, Character
from tests.support.services import ClickHouseServer

HASTE = 5


class Hurried(SystemClock):
    """A clock whose seconds are short, for what only waits."""

    def monotonic(self) -> float:
        return super().monotonic() * HASTE


def on_pbx(character: Character, **own: Any) -> list[Finding]:
    with AmiServer(character) as server:
        section = {"adapter": "asterisk_ami", "host": "127.0.0.1", "port": server.port, "username": "trunkline"}
        settings = Settings.model_validate({"pbx": {"main": {**section, "secret": "s3cret", **own}}})
        config = connectors.configured(settings, "pbx", "main")
        return list(doctor._pbx("pbx.main", "asterisk_ami", config, Hurried()))


def bad(findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if not finding.ok]
    return found


@pytest.mark.integration
def test_a_pbx_that_is_well_is_said_to_be_well() -> None:
    """Login, event times and clock."""
    findings = on_pbx(Character())
    assert [finding.what.split(";")[0].split("+")[0].split("-")[0] for finding in findings] == [
        *("logged in", "timestampevents is on", "clock skew ")
    ]
    assert all(finding.ok and not finding.fix for finding in findings)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("character", "what", "fix"),
    [
        (Character(secret="another"), "refuses user 'trunkline' (Authentication failed)", "secret = <the secret>"),
        (Character(stamped=False), "events carry no time", "`timestampevents = yes`"),
        (Character(skew_s=-90), "clock skew -", "NTP"),
        (Character(skew_s=3), "clock skew +", "NTP"),
        (Character(may=ALL[1:]), "may not CoreShowChannels", "add reporting to its `write =` line"),
        (Character(may=("CoreShowChannels", "Originate", "UserEvent")), "may not Filter", "add system"),
        (Character(may=("CoreShowChannels", "Filter", "UserEvent")), "may not Originate", "add originate"),
        (Character(may=ALL[:3]), "may not UserEvent", "add user"),
        (Character(mute=True), "does not answer as a manager interface", "check host, port and tls"),
    ],
)
def test_what_is_wrong_with_a_pbx_is_told_with_the_fix(character: Character, what: str, fix: str) -> None:
    """One thing is wrong, one thing is found."""
    found = bad(on_pbx(character))
    assert what in found.what
    assert fix in found.fix
    assert "s3cret" not in found.what + found.fix


@pytest.mark.integration
def test_a_pbx_without_tls_where_tls_is_expected_is_told() -> None:
    """The handshake meets a greeting."""
    assert "does not speak TLS" in bad(on_pbx(Character(), tls=True)).what


@pytest.mark.integration
def test_nobody_at_the_address_is_told() -> None:
    """With the address that was tried."""
    port = free_port()
    found = bad(on_pbx(Character(), port=port))
    assert f"nothing answers at 127.0.0.1:{port}" in found.what
    assert "bindaddr" in found.fix


def test_a_record_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Its writer may be off, or its folder closed to us."""
    for adapter in ("asterisk_cdr", "asterisk_cel", "asterisk_queue_log"):
        path = tmp_path / adapter
        settings = Settings.model_validate({"pbx": {"main": {"adapter": adapter, "path": str(path)}}})
        config = connectors.configured(settings, "pbx", "main")
        assert bad(list(doctor._pbx("pbx.main", adapter, config, SystemClock()))).fix.startswith("check path")
        path.touch()
        assert [f.ok for f in doctor._pbx("pbx.main", adapter, config, SystemClock())] == [True]


def test_a_table_of_records_is_tried(tmp_path: Path) -> None:
    """No file yet, a database without the table, an empty table, one with rows."""
    file = tmp_path / "asterisk.db"
    own = {"adapter": "asterisk_cel", "database": f"sqlite:///{file}", "path": "/nowhere"}
    config = connectors.configured(Settings.model_validate({"pbx": {"main": own}}), "pbx", "main")

    def found() -> Finding:
        (finding,) = doctor._pbx("pbx.main", "asterisk_cel", config, SystemClock())
        return finding

    assert (found().ok, found().fix.split()[0]) == (False, "check")
    writer = sqlite3.connect(file)
    writer.execute("CREATE TABLE other (id)")
    assert (found().ok, "refuses" in found().what) == (False, True)
    writer.execute("CREATE TABLE cel (eventtime)")
    assert (found().ok, found().what) == (True, "cel is there and empty")
    writer.execute("INSERT INTO cel VALUES ('2026-11-24 12:00:00')")
    writer.commit()
    writer.close()
    assert (found().ok, found().what) == (True, "cel is there and has rows")


@pytest.mark.integration
def test_no_broker_is_told_and_then_missing_topics() -> None:
    """The first is a wrong address, the second a command that was not run."""
    away = Settings(kafka=Kafka(bootstrap=f"127.0.0.1:{free_port()}"))
    assert "no broker at 127.0.0.1:" in bad(list(doctor._broker(away))).what


@pytest.mark.integration
def test_missing_topics_are_told_until_they_are_made(kafka: str) -> None:
    """The fix is one command."""
    settings = Settings(kafka=Kafka(bootstrap=kafka, topic_prefix=f"doctor-{free_port()}-"))
    found = bad(list(doctor._broker(settings)))
    assert "topics are missing: call-events, call-events.dead" in found.what
    assert found.fix == "`trunkline topics apply`"
    list(topics.apply(admin(settings.kafka), settings.kafka))
    assert [f.ok for f in doctor._broker(settings)] == [True]


@pytest.fixture
def warehouse(clickhouse: ClickHouseServer, database: str) -> Settings:
    password = SecretStr(clickhouse.password)
    where = ClickHouse(url=clickhouse.url, database=database, user=clickhouse.user, password=password)
    return Settings.model_validate({"clickhouse": where, "pbx": {"main": {"adapter": "asterisk_ami"}}})


@pytest.mark.integration
def test_a_warehouse_without_tables_is_told(warehouse: Settings) -> None:
    """The sink makes them."""
    found = bad(list(doctor._warehouse(warehouse)))
    assert "no table of calls" in found.what
    assert "run sink clickhouse" in found.fix


@pytest.mark.integration
@pytest.mark.parametrize(
    ("odd", "well"), [(0, True), (1, True), (30, False)], ids=["no call", "one odd call in forty", "most are odd"]
)
def test_the_number_plan_is_held_against_the_last_calls(
    warehouse: Settings, clickhouse: ClickHouseServer, odd: int, well: bool
) -> None:
    """One odd call is a call, many are a wrong plan."""
    total = 40 if odd else 0
    view = (
        "CREATE VIEW calls_latest AS SELECT 'main' AS pbx, now64(6) AS started_at, 'none' AS match, "
        f"'+3227654321' AS customer_number, if(number < {odd}, '', 'inbound') AS direction FROM numbers({total})"
    )
    with clickhouse.connect(warehouse.clickhouse.database) as client:
        client.command(view)
    findings = list(doctor._warehouse(warehouse))
    assert [(f.part, f.ok) for f in findings] == [("clickhouse", True), ("pbx.main.numbers", well)]
    assert ("[pbx.main.numbers]" in findings[1].fix) is not well


@pytest.mark.integration
def test_no_warehouse_is_told() -> None:
    """In one line, without the client's own words."""
    found = bad(list(doctor._warehouse(Settings(clickhouse=ClickHouse(url=f"http://127.0.0.1:{free_port()}")))))
    assert "does not let us in (no answer: " in found.what


@contextmanager
def crm(status: int) -> Iterator[str]:
    """The address of a CRM that always answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"items": [], "next": ""}'
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "ok", "fix"), [(200, True, ""), (401, False, "check its token"), (503, False, "check its url")]
)
def test_a_crm_is_asked_by_its_own_connector(status: int, ok: bool, fix: str) -> None:
    """A wrong token and a CRM that is away are different answers."""
    with crm(status) as url:
        section = {"connector": "sandbox", "url": url, "token": "hush"}
        settings = Settings.model_validate({"crm": {"crm": section}})
        config = connectors.configured(settings, "crm", "crm")
        found = doctor._crm("crm.crm", connectors.load("crm", "sandbox"), config, SystemClock())
    assert found.ok is ok
    assert found.fix.startswith(fix)
    assert "hush" not in found.what + found.fix


@pytest.mark.integration
def test_the_command_tells_everything_and_leaves_with_one(tmp_path: Path) -> None:
    """A wrong section hides nothing else."""
    config = tmp_path / "t.toml"
    config.write_text(
        f'data_dir = "{tmp_path}"\n[kafka]\nport = {free_port()}\n[clickhouse]\nport = {free_port()}\n'
        '[pbx.main]\nadapter = "asterix"\n[crm.crm]\nconnector = "sandbox"\nprot = 1',
        encoding="utf-8",
    )
    result = CliRunner().invoke(app, ["doctor", "--config", str(config)])
    assert result.exit_code == 1
    parts = [line.split()[1].rstrip(":") for line in result.output.splitlines() if line.startswith("mend")]
    assert parts == ["pbx.main", "crm.crm", "kafka", "clickhouse"]
    told = CliRunner().invoke(app, ["doctor", "--json", "--config", str(config)]).output.splitlines()
    assert len(told) == 4
    assert '"ok":false' in told[0]

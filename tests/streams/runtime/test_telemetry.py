"""Logs that tell no secret, and a closed list of metrics."""

import ast
import io
import re
from pathlib import Path

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY

from streams.runtime import health, logs, metrics

ROOT = Path(metrics.__file__).parents[2]
SOURCES = [p for room in ("producers", "streams", "sinks") for p in (ROOT / room).rglob("*.py")]


def logged(**values: object) -> str:
    out = io.StringIO()
    logs.configure("debug", "json", out)
    structlog.get_logger().info(str(values.pop("event", "something")), **values)
    return out.getvalue()


@pytest.mark.parametrize("number", ["+32470123456", "0470123456", "0032470123456"])
def test_a_number_is_masked_wherever_it_stands(number: str) -> None:
    """In the text, in a value, and in an error."""
    line = logged(event=f"call from {number}", where=f"at {number}.", error=ValueError(f"bad {number}"))
    assert number not in line
    assert line.count("***" + number[-2:]) == 3


@pytest.mark.parametrize("key", ["secret", "sasl_password", "token", "caller_name", "customer_number", "authorization"])
def test_a_telling_key_is_never_shown(key: str) -> None:
    """Whoever logs such a value by mistake logs nothing."""
    assert "hush" not in logged(**{key: "hush"})


def test_ids_and_counts_stay_readable() -> None:
    """An operator needs them to find the call."""
    line = logged(call="main:1782900000.58", events=1234567, topic="call-events")
    assert all(text in line for text in ("main:1782900000.58", "1234567", "call-events"))


def test_metrics_are_declared_in_one_place_only() -> None:
    """A metric that is made elsewhere is not on the list that operators read."""
    made = re.compile(r"\b(Counter|Gauge|Histogram|Summary|Info|Enum)\(")
    homes = {p.name for p in SOURCES if "prometheus_client" in p.read_text(encoding="utf-8")}
    assert homes <= {"metrics.py", "health.py"}
    assert made.search((ROOT / "streams/runtime/metrics.py").read_text(encoding="utf-8"))


def test_every_metric_has_a_sentence_and_ours_begin_with_our_name() -> None:
    """A scrape explains itself."""
    ours = [m for m in REGISTRY.collect() if m.name.startswith("trunkline_")]
    assert len(ours) == len(metrics.declared()) > 0
    assert all(m.documentation.endswith(".") for m in ours), [m.name for m in ours if not m.documentation.endswith(".")]


def test_every_declared_metric_is_used() -> None:
    """A metric that nobody sets reads as zero for ever and misleads."""
    tree = ast.parse((ROOT / "streams/runtime/metrics.py").read_text(encoding="utf-8"))
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    text = "\n".join(p.read_text(encoding="utf-8") for p in SOURCES if p.name != "metrics.py")
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()


@pytest.mark.integration
def test_health_and_metrics_answer_on_the_loopback() -> None:
    """What a probe and a scrape get."""
    healthy = [True]
    server = health.serve(0, lambda: healthy[0])
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        assert "trunkline_dead_letters" in httpx.get(f"{base}/metrics").text
        assert httpx.get(f"{base}/health").status_code == 200
        healthy[0] = False
        assert httpx.get(f"{base}/health").status_code == 503
        assert httpx.get(f"{base}/else").status_code == 404
    finally:
        server.shutdown()
        server.server_close()

"""What a client library never sends: cut bodies, hostile settings, wrong passwords, odd encodings."""

import gzip
import importlib
import json
import socket
import struct
import zlib
from collections.abc import Iterator

import httpx
import pytest

from streams.embedded.clickhouse import EmbeddedClickHouse
from tests.support.services import ClickHouseServer, docker_answers

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        docker_answers(), reason="asks the embedded engine's own interface; a server stands in for it here"
    ),
]


@pytest.fixture
def http(clickhouse: ClickHouseServer, database: str) -> Iterator[httpx.Client]:
    """A bare HTTP client in its test's own database, with one table `t`."""
    with httpx.Client(base_url=clickhouse.url, params={"database": database}, timeout=30) as client:
        assert client.post("/", content="CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a").is_success
        yield client


def rows(http: httpx.Client) -> str:
    return http.get("/", params={"query": "SELECT count() FROM t"}).text.strip()


def raw(http: httpx.Client, request: bytes, *, cut: bool) -> bytes:
    """Send bytes as they are and return all that comes back; `cut`: close our side first."""
    host, port = http.base_url.host, http.base_url.port
    assert port is not None
    with socket.create_connection((host, port), timeout=20) as wire:
        wire.sendall(request)
        if cut:
            wire.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := wire.recv(65536):
            got += chunk
        return got


def head(http: httpx.Client, *headers: str) -> bytes:
    database = dict(http.params)["database"]
    lines = [f"POST /?database={database}&query=INSERT%20INTO%20t%20FORMAT%20CSV HTTP/1.1", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_health_is_told_without_a_query(http: httpx.Client) -> None:
    """Load balancers and humans get Ok from the three addresses that ClickHouse has for them."""
    assert [http.get(path).text for path in ("/ping", "/replicas_status")] == ["Ok.\n", "Ok.\n"]
    assert httpx.get(http.base_url).text == "Ok.\n"
    assert http.get("/nothing").status_code == 404


@pytest.mark.parametrize("form", ["TSV", "JSON", "CSVWithNames"])
def test_answer_names_its_format(http: httpx.Client, form: str) -> None:
    """Format, query id, zone and summary come as headers, wherever the format was asked for."""
    asked = [
        http.post("/", content=f"SELECT 1 AS x FORMAT {form}"),
        http.post("/", content="SELECT 1 AS x", params={"default_format": form}),
        http.post("/", content="SELECT 1 AS x", headers={"X-ClickHouse-Format": form}),
        http.get("/", params={"query": f"SELECT 1 AS x FORMAT {form};"}),
    ]
    assert {answer.headers["X-ClickHouse-Format"] for answer in asked} == {form}
    assert len({answer.headers["X-ClickHouse-Query-Id"] for answer in asked}) == 4
    assert asked[0].headers["X-ClickHouse-Timezone"]
    assert json.loads(asked[0].headers["X-ClickHouse-Summary"])["result_rows"] == "1"


def test_query_text_may_be_split(http: httpx.Client) -> None:
    """What stands in the address comes before what stands in the body, with a line break between."""
    assert http.post("/", params={"query": "SELECT 1"}, content=", 2").text == "1\t2\n"
    assert http.post("/", params={"query": "INSERT INTO t VALUES"}, content="(1, 'x'), (2, 'y')").is_success
    assert http.post("/", content="INSERT INTO t (a) FORMAT CSV\n3\n4\n").is_success
    assert http.post("/", params={"query": "INSERT INTO t"}, content='FORMAT JSONEachRow {"a":5}').is_success
    assert rows(http) == "5"


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param((["Content-Length: 100"], b"1,a\n2,b\n"), id="shorter-than-its-length"),
        pytest.param((["Transfer-Encoding: chunked"], b"8\r\n1,a\n2,b\n\r\n"), id="no-last-chunk"),
        pytest.param((["Transfer-Encoding: chunked"], b"8\r\n1,a\n"), id="inside-a-chunk"),
        pytest.param((["Transfer-Encoding: chunked"], b"8\r\n1,a\n2,b\n\r\nxyz\r\n"), id="broken-chunk"),
        pytest.param((["Content-Length: 8", "Content-Encoding: gzip"], b"1,a\n2,b\n"), id="not-gzip"),
    ],
)
def test_cut_body_inserts_nothing(http: httpx.Client, cut: tuple[list[str], bytes]) -> None:
    """A body that did not arrive whole leaves no row, though its beginning is valid."""
    headers, body = cut
    answer = raw(http, head(http, *headers) + body, cut=True)
    assert not answer.startswith(b"HTTP/1.1 200")
    assert rows(http) == "0"


def test_whole_body_is_inserted(http: httpx.Client) -> None:
    """The same request with its end is carried out: the cut alone made the difference."""
    request = head(http, "Transfer-Encoding: chunked", "Connection: close") + b"8\r\n1,a\n2,b\n\r\n0\r\n\r\n"
    answer = raw(http, request, cut=False)
    assert answer.startswith(b"HTTP/1.1 200")
    assert rows(http) == "2"


def test_bad_row_leaves_no_rows(http: httpx.Client) -> None:
    """One unreadable row among good ones refuses the whole insert, with ClickHouse's code."""
    answer = http.post("/", params={"query": "INSERT INTO t FORMAT CSV"}, content="1,a\n" * 50_000 + "x,y\n")
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "27")
    assert answer.text.startswith("Code: 27. DB::Exception: ")
    assert rows(http) == "0"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT nothing", 404, "47"),
        ("SELEC 1", 400, "62"),
        ("SELECT 1 FORMAT NoSuchFormat", 404, "73"),
        ("INSERT INTO t FORMAT NoSuchFormat\n1", 404, "73"),
        ("INSERT INTO no_such_table FORMAT CSV\n1", 404, "60"),
        ("SELECT 1; DROP TABLE t", 400, "62"),
        ("SELECT 1 INTO OUTFILE '/tmp/no'", 500, "358"),
        ("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 500, "358"),
        ("", 400, "62"),
        ("SELECT sleep(3) SETTINGS max_execution_time=0.2", 408, "159"),
    ],
)
def test_errors_have_status_code_and_text(http: httpx.Client, query: str, status: int, code: str) -> None:
    """Every refusal is ClickHouse's: status, code as header, text as body."""
    answer = http.post("/", content=query)
    assert (answer.status_code, answer.headers.get("X-ClickHouse-Exception-Code")) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert rows(http) == "0"


@pytest.mark.parametrize(
    "query", ["INSERT INTO t VALUES (1, 'x')", "DROP TABLE t", "CREATE TABLE u (a Int8) ENGINE = Log"]
)
def test_get_changes_nothing(http: httpx.Client, query: str) -> None:
    """GET is read-only, whatever the settings in the address say."""
    for extra in ({}, {"readonly": "0"}):
        answer = http.get("/", params={"query": query, **extra})
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert rows(http) == "0"


@pytest.mark.parametrize(
    "setting",
    [
        {"max_threads = 1, readonly": "0"},
        {"max_threads`": "1"},
        {"log_comment": "'; DROP TABLE t; --"},
        {"log_comment": "\\'; DROP TABLE t; --"},
        {"param_x": "\\', max_threads = 1; DROP TABLE t; --"},
        {"database": "system`; DROP TABLE t; --"},
        {"query_id": "a\r\nX-Evil: 1"},
    ],
)
def test_settings_are_never_run(http: httpx.Client, setting: dict[str, str]) -> None:
    """Names and values from the address are names and values, whatever they hold."""
    answer = http.post("/", params={**dict(http.params), **setting}, content="SELECT 1")
    assert answer.text == "1\n" or answer.text.startswith("Code: ")
    assert "X-Evil" not in answer.headers
    assert rows(http) == "0"


@pytest.mark.parametrize(
    "packing",
    ["gzip", "deflate", "zstd", "lz4", "br"],
)
def test_answers_are_packed_as_the_client_takes_them(http: httpx.Client, packing: str) -> None:
    """A packed answer can be sent back as the packed body of an insert, and every row is there."""
    ask = {"query": "SELECT number, 'row' FROM numbers(1000) FORMAT CSV", "enable_http_compression": "1"}
    with http.stream("GET", "/", params=ask, headers={"Accept-Encoding": packing}) as answer:
        packed = b"".join(answer.iter_raw())
        assert answer.headers["Content-Encoding"] == packing
    back = http.post(
        "/", params={"query": "INSERT INTO t FORMAT CSV"}, content=packed, headers={"Content-Encoding": packing}
    )
    assert back.is_success, back.text
    assert rows(http) == "1000"


def test_foreign_packers_are_understood(http: httpx.Client) -> None:
    """Bodies packed by Python's own gzip and zlib are read, too."""
    for packing, body in (("gzip", gzip.compress(b"1,a\n")), ("deflate", zlib.compress(b"2,b\n"))):
        ask = {"query": "INSERT INTO t FORMAT CSV"}
        assert http.post("/", params=ask, content=body, headers={"Content-Encoding": packing}).is_success
    assert rows(http) == "2"


def test_native_blocks_are_what_java_clients_read(http: httpx.Client) -> None:
    """compress=1 gives checksummed LZ4 blocks one after the other, which together hold the result."""
    ask = {"query": "SELECT number FROM numbers(500000) FORMAT CSV", "compress": "1"}
    packed = http.get("/", params=ask).content
    lz4 = importlib.import_module("lz4.block")
    plain = b""
    while packed:
        method, size, full = struct.unpack_from("<BII", packed, 16)
        assert method == 0x82
        plain += lz4.decompress(packed[25 : 16 + size], uncompressed_size=full)
        packed = packed[16 + size :]
    assert plain == b"".join(b"%d\n" % number for number in range(500_000))


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"decompress": "1"}, "SELECT 1"),
        ({"session_id": "s"}, "SET max_threads = 1"),
        ({"session_id": "s"}, "use system"),
        ({"session_id": "s"}, "CREATE TEMPORARY TABLE x (a Int8)"),
    ],
)
def test_what_is_not_there_says_so(http: httpx.Client, params: dict[str, str], query: str) -> None:
    """What the interface cannot do is an error, never silently left out; a session id alone is no reason for one."""
    answer = http.post("/", params=params, content=query)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert http.post("/", params={"session_id": "s"}, content="SELECT 1").text == "1\n"


def test_unknown_packing_is_refused(http: httpx.Client) -> None:
    """A body in an encoding that nobody knows is an error, not rows."""
    ask = {"query": "INSERT INTO t FORMAT CSV"}
    answer = http.post("/", params=ask, content=b"1,a\n", headers={"Content-Encoding": "rot13"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "48"
    assert rows(http) == "0"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine that asks for a password."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "password").write_text("s3cret:ü\n", encoding="utf-8")
    with EmbeddedClickHouse(folder / "data", password_file=folder / "password") as engine:
        yield engine.url


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        ({}, 401),
        ({"auth": ("default", "")}, 401),
        ({"auth": ("default", "wrong")}, 403),
        ({"auth": ("other", "s3cret:ü")}, 403),
        ({"params": {"user": "default", "password": "wrong"}}, 403),
        ({"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"}}, 403),
        ({"headers": {"Authorization": "Bearer s3cret"}}, 403),
        ({"headers": {"Authorization": "Basic ???"}}, 403),
        ({"auth": ("default", "s3cret:ü")}, 200),
        ({"params": {"user": "default", "password": "s3cret:ü"}}, 200),
        ({"headers": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "s3cret:ü".encode()}}, 200),
    ],
)
def test_password_is_asked_for(guarded: str, ask: dict[str, object], status: int) -> None:
    """Only the right user with the right password gets an answer, in each of the three ways to say it."""
    answer = httpx.request("POST", guarded, content="SELECT 1", timeout=20, **ask)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert (answer.text == "1\n") == (status == 200)
    assert answer.headers.get("X-ClickHouse-Exception-Code") == {200: None, 401: "194", 403: "516"}[status]
    assert "s3cret" not in answer.text


def test_web_pages_are_kept_out(http: httpx.Client) -> None:
    """A page in a browser reaches the loopback, too: its requests, and rebound host names, are refused."""
    for headers in ({"Origin": "https://example.org"}, {"Host": "evil.example.org"}):
        answer = http.post("/", content="DROP TABLE t", headers=headers)
        assert answer.headers["X-ClickHouse-Exception-Code"] == "497"
    assert rows(http) == "0"

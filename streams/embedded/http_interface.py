"""ClickHouse's HTTP interface in front of the embedded engine: clients connect to it as to a server.

Names, error codes and status numbers are those of ClickHouse's HTTPHandler and exceptionCodeToHTTPStatus. A request is
carried out only when its body has arrived whole, and a result is sent only when it is complete: a cut insert writes
nothing, and an error never comes in the middle of a result.
"""

import io
import itertools
import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.embedded.engine import Answer, Engine, EngineError, Scope
from streams.embedded.login import REQUIRED_PASSWORD, Login
from streams.embedded.query_text import MAX_STATEMENT, parse

_CHUNK = 1 << 20
_PLAIN = "text/plain; charset=UTF-8"
_NO_HANDLE = """There is no such handle.

Use / or /ping for health checks.
Send queries with the POST method, or with GET /?query=...
"""

_BAD_ARGUMENTS, _NOT_IMPLEMENTED, _SYNTAX_ERROR, _INTO_OUTFILE_NOT_ALLOWED, _LENGTH_REQUIRED = 36, 48, 62, 358, 381
_CODES = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}
_STATUS = {code: status for status, codes in _CODES.items() for code in codes}

# Parameters of the address that are no settings. Those that this module does not read ask for what is so anyway (a
# result is buffered to its end), or may be left undone (Native blocks are written as the oldest client reads them).
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        "query database default_format user password quota_key query_id stacktrace compress decompress buffer_size "
        "wait_end_of_query session_id session_timeout session_check close_session client_protocol_version",
    )
)
_PACKINGS = ("lz4", "zstd", "br", "gzip", "deflate", "snappy", "xz")
# Each request has a connection of its own, so these would be forgotten at once without a word.
_NEEDS_SESSION = re.compile(rb"(?i)\s*(SET|USE|CREATE\s+(OR\s+REPLACE\s+)?TEMPORARY)\s")
_CONTENT_TYPES = (
    (r"(TSV|TabSeparated)\w*", "text/tab-separated-values; charset=UTF-8"),
    (r"CSVWithNames\w*", "text/csv; charset=UTF-8; header=present"),
    (r"CSV", "text/csv; charset=UTF-8; header=absent"),
    (r"JSON\w*EachRow\w*|JSONLines|NDJSON", "application/x-ndjson; charset=UTF-8"),
    (r"JSON\w*", "application/json; charset=UTF-8"),
    (r"XML", "application/xml; charset=UTF-8"),
    (r"Markdown", "text/markdown; charset=UTF-8"),
    (r"Pretty\w*|Vertical|Values|SQLInsert|TSKV", _PLAIN),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request, its body aside."""

    method: str
    query_id: str
    query: bytes
    scope: Scope
    default_format: str
    unpack: str
    pack: str
    frame: bool
    in_session: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interface:
    engine: Engine
    login: Login

    async def query(self, request: Request) -> Response:
        query_id = str(uuid.uuid4())
        try:
            self.login.check(request)
            call = _call(request)
            query_id = call.query_id
            with self.engine.file() as body:
                async for chunk in request.stream():
                    body.write(chunk)
                body.flush()
                body.seek(0)
                return await run_in_threadpool(self._carry_out, call, body)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except EngineError as error:
            return self._failure(error, query_id)

    def _carry_out(self, call: _Call, body: IO[bytes]) -> Response:
        if call.unpack:
            body = io.BytesIO(self.engine.unpack(Path(body.name), call.unpack))
        text = call.query + body.read(MAX_STATEMENT)
        if not text.strip():
            if call.method != "POST":
                return PlainTextResponse("Ok.\n")
            raise EngineError.of(_SYNTAX_ERROR, "SYNTAX_ERROR", "Empty query")
        query = parse(text)
        if query.touches_files:
            raise EngineError.of(_INTO_OUTFILE_NOT_ALLOWED, "INTO_OUTFILE_NOT_ALLOWED", "Files are not allowed here")
        if call.in_session and _NEEDS_SESSION.match(text):
            raise _not_implemented("SET, USE and temporary tables: the embedded engine keeps no sessions")
        rest = iter(lambda: body.read(_CHUNK), b"")
        form = query.format or call.default_format or "TabSeparated"
        if query.data is not None:
            data = itertools.chain([text[query.data :]], rest)
            answer = self.engine.insert(query.statement, form, data, call.scope)
        else:
            answer = self.engine.query(text + b"".join(rest), form, call.scope)
        return self._success(answer, form, call)

    def _success(self, answer: Answer, form: str, call: _Call) -> Response:
        headers = self._headers(call.query_id) | {"X-ClickHouse-Summary": _summary(answer)}
        content_type = _PLAIN
        if answer.has_result:
            headers["X-ClickHouse-Format"] = form
            found = (mime for pattern, mime in _CONTENT_TYPES if re.fullmatch(pattern, form))
            content_type = next(found, "application/octet-stream")
        body = self.engine.frame(answer.body) if call.frame else answer.body
        if call.pack and body:
            body = self.engine.pack(body, call.pack)
            headers["Content-Encoding"] = call.pack
        return Response(body, headers=headers | {"Content-Type": content_type})

    def _failure(self, error: EngineError, query_id: str) -> Response:
        text = str(error) if "(version " in str(error) else f"{error} (version {self.engine.version})"
        headers = self._headers(query_id) | {"X-ClickHouse-Exception-Code": str(error.code), "Content-Type": _PLAIN}
        if error.code == REQUIRED_PASSWORD:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        return Response(f"{text}\n", _STATUS.get(error.code, 500), headers)

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": "trunkline",
            "X-ClickHouse-Timezone": self.engine.timezone,
        }


def application(engine: Engine, login: Login) -> Starlette:
    """The whole interface as an ASGI application."""
    return Starlette(
        routes=[
            Route("/", _Interface(engine=engine, login=login).query, methods=["GET", "POST"]),
            Route("/ping", _ok),
            Route("/replicas_status", _ok),
            Route("/{path:path}", _no_handle, methods=["GET", "POST"]),
        ]
    )


def _call(request: Request) -> _Call:
    given, header = dict(request.query_params), request.headers
    if request.method == "POST" and "content-length" not in header and "transfer-encoding" not in header:
        text = "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request"
        raise EngineError.of(_LENGTH_REQUIRED, "HTTP_LENGTH_REQUIRED", text)
    if header.get("content-type", "").startswith("multipart/form-data"):
        raise _not_implemented("External tables: the embedded engine does not take them")
    if _true(given.get("decompress")):
        raise _not_implemented("decompress=1: use Content-Encoding")
    query_id = given.get("query_id") or header.get("x-clickhouse-query-id") or str(uuid.uuid4())
    if not re.fullmatch(r"[\x20-\x7e]{1,200}", query_id):
        raise EngineError.of(_BAD_ARGUMENTS, "BAD_ARGUMENTS", "A query_id is printable ASCII of at most 200 characters")
    query = given.get("query", "").encode()
    return _Call(
        method=request.method,
        query_id=query_id,
        query=query + b"\n" if query else b"",
        scope=Scope(
            settings={name: value for name, value in given.items() if name and name not in _RESERVED},
            database=header.get("x-clickhouse-database") or given.get("database", ""),
            readonly=request.method != "POST",
        ),
        default_format=header.get("x-clickhouse-format") or given.get("default_format", ""),
        unpack=header.get("content-encoding", "").replace("identity", ""),
        pack=_packing(header.get("accept-encoding", "")) if _true(given.get("enable_http_compression")) else "",
        frame=_true(given.get("compress")),
        in_session="session_id" in given,
    )


def _not_implemented(what: str) -> EngineError:
    return EngineError.of(_NOT_IMPLEMENTED, "NOT_IMPLEMENTED", what)


def _packing(accepted: str) -> str:
    """The first of our packings that the client takes (RFC 9110, 12.5.3), or none."""
    offers = [offer.replace(" ", "").lower().partition(";") for offer in accepted.split(",")]
    names = {name for name, _, quality in offers if not re.fullmatch(r"q=0(\.0*)?", quality)}
    return next((packing for packing in _PACKINGS if packing in names), "")


def _true(value: str | None) -> bool:
    return value is not None and value.lower() in {"1", "true"}


def _summary(answer: Answer) -> str:
    told = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": answer.rows_written,
        "written_bytes": answer.bytes_written,
        "total_rows_to_read": 0,
        "result_rows": answer.rows,
        "result_bytes": len(answer.body),
        "elapsed_ns": round(answer.seconds * 1_000_000_000),
    }
    return json.dumps({name: str(number) for name, number in told.items()})


async def _ok(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")


async def _no_handle(_: Request) -> Response:
    return PlainTextResponse(_NO_HANDLE, 404)

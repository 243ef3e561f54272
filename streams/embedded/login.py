"""Who may use the embedded ClickHouse: one user, in each of the three ways that ClickHouse lets a client say it."""

import base64
import binascii
import hmac
from dataclasses import dataclass

from starlette.requests import Request

from streams.embedded.engine import EngineError

REQUIRED_PASSWORD = 194
_ACCESS_DENIED, _AUTHENTICATION_FAILED = 497, 516
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The user and the password that a request must carry. An empty password lets in everybody on this machine."""

    user: str = "default"
    password: str = ""

    def check(self, request: Request) -> None:
        """Raise `EngineError` unless the request may be carried out."""
        if "origin" in request.headers or request.url.hostname not in _LOOPBACK_NAMES:
            # A page of any site can make a browser send requests to this machine's loopback.
            raise EngineError.of(_ACCESS_DENIED, "ACCESS_DENIED", "Requests from web pages are not carried out")
        user, password = _given(request)
        same = hmac.compare_digest(user, self.user.encode())
        if not (hmac.compare_digest(password, self.password.encode()) and same):
            raise _refusal(password)


def _given(request: Request) -> tuple[bytes, bytes]:
    header, address = request.headers, request.query_params
    if "x-clickhouse-user" in header or "x-clickhouse-key" in header:
        user, password = header.get("x-clickhouse-user", "default"), header.get("x-clickhouse-key", "")
        return user.encode("latin-1"), password.encode("latin-1")  # the bytes as they were sent
    if "authorization" in header:
        return _basic(header["authorization"])
    return address.get("user", "default").encode(), address.get("password", "").encode()


def _basic(authorization: str) -> tuple[bytes, bytes]:
    scheme, _, value = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        scheme = ""
    if scheme.lower() != "basic":
        raise EngineError.of(
            _AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", "Invalid authentication: Basic is expected"
        )
    return user, password


def _refusal(password: bytes) -> EngineError:
    if not password:
        return EngineError.of(REQUIRED_PASSWORD, "REQUIRED_PASSWORD", "Authentication failed: a password is required")
    text = "Authentication failed: password is incorrect, or there is no user with such name"
    return EngineError.of(_AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", text)

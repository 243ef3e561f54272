"""ClickHouse over HTTP: one client for a server and for the embedded engine, and what to do about each error code.

Codes: src/Common/ErrorCodes.cpp of ClickHouse. They come in the header X-ClickHouse-Exception-Code; the text of an error
may quote a row and is never repeated.
"""

import logging

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from streams.runtime.config import ClickHouse
from streams.runtime.errors import Fatal, Reject, Retry

AVRO_READER = frozenset({1001, 1002})  # STD_EXCEPTION, UNKNOWN_EXCEPTION: what Avro's own library throws
VIOLATED_CONSTRAINT = 469
ACCESS_DENIED = 497

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 60

_LOGIN = "check clickhouse.user and clickhouse.password (or password_file)"
_SCHEMA = "the table is not as this version's migrations made it; undo what was changed by hand"
_TOO_OLD = "this server is older than the sink needs; upgrade it (26.3 or later)"
_NEEDS_A_PERSON = {
    81: "make the database, or correct clickhouse.database",  # UNKNOWN_DATABASE
    192: _LOGIN,  # UNKNOWN_USER
    193: _LOGIN,  # WRONG_PASSWORD
    194: _LOGIN,  # REQUIRED_PASSWORD
    516: _LOGIN,  # AUTHENTICATION_FAILED
    195: "the server does not admit this address; see its <networks>",  # IP_ADDRESS_NOT_ALLOWED
    164: "the user may only read; give it rights to create tables and to insert",  # READONLY
    ACCESS_DENIED: "give the user rights to create tables and to insert",
    60: _SCHEMA,  # UNKNOWN_TABLE
    8: _SCHEMA,  # THERE_IS_NO_COLUMN
    16: _SCHEMA,  # NO_SUCH_COLUMN_IN_TABLE
    44: _SCHEMA,  # ILLEGAL_COLUMN
    53: _SCHEMA,  # TYPE_MISMATCH
    50: _TOO_OLD,  # UNKNOWN_TYPE
    62: _TOO_OLD,  # SYNTAX_ERROR
    73: _TOO_OLD,  # UNKNOWN_FORMAT
    115: _TOO_OLD,  # UNKNOWN_SETTING
}
_ABOUT_THE_DATA = AVRO_READER | {
    VIOLATED_CONSTRAINT,
    6,  # CANNOT_PARSE_TEXT
    26,  # CANNOT_PARSE_QUOTED_STRING
    27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,  # CANNOT_READ_ALL_DATA
    69,  # ARGUMENT_OUT_OF_BOUND
    117,  # INCORRECT_DATA
    128,  # TOO_LARGE_ARRAY_SIZE
    131,  # TOO_LARGE_STRING_SIZE
    321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
}


class RefusedInsert(Reject):
    """The server took nothing of an insert because of what stands in it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def connect(settings: ClickHouse) -> Client:
    """A client that threads may share; raises Retry while the server is away, Fatal when it does not let us in."""
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)  # what it warns of is an error that we are given
    try:
        client = clickhouse_connect.get_client(
            dsn=settings.url,
            username=settings.user,
            password=settings.password.get_secret_value(),
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=_ANSWER_SECONDS,
            autogenerate_session_id=False,  # a session admits one query at a time
            query_retries=0,  # the sink tries again itself
            compress=False,
        )
    except Error as e:
        raise verdict(e) from None
    client.database = settings.database  # not at connect: the migrations may have to make it
    return client


def verdict(error: Error) -> Retry | Fatal | RefusedInsert:
    """What the runtime does next about an error of the client. What is not known is tried again: nothing is lost by it."""
    if error.code is None:
        return Retry("ClickHouse does not answer")
    said = f"ClickHouse error {error.code}" + (f" ({error.name})" if error.name else "")
    if error.code in _NEEDS_A_PERSON:
        return Fatal(f"{said}: {_NEEDS_A_PERSON[error.code]}")
    if error.code in _ABOUT_THE_DATA:
        return RefusedInsert(error.code, said)
    return Retry(said)

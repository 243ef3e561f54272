"""The ClickHouse engine inside this process (chDB): statements and inserts, each with settings of its own."""

import importlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from streams.embedded.deduplication import forget_unfinished
from streams.embedded.query_text import split_settings
from streams.runtime.errors import Fatal

_SYNTAX_ERROR, _UNKNOWN_SETTING, _UNKNOWN_EXCEPTION = 62, 115, 1002

_chdb: Any = importlib.import_module("chdb._chdb")  # the engine itself, which ships no types

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE = re.compile(r"(?:std::exception\. )?Code: (\d+)[.,] ")


class EngineError(Exception):
    """What the engine said: ClickHouse's error code and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @classmethod
    def of(cls, code: int, name: str, text: str) -> Self:
        """An error of this interface's own, worded as the engine's are."""
        return cls(code, f"Code: {code}. DB::Exception: {text}. ({name})")

    @classmethod
    def said(cls, text: str) -> Self:
        """What chDB raised: it begins with the code."""
        found = _CODE.match(text)
        return cls(int(found[1]), text) if found else cls.of(_UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a request brings beside its statement."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings by name, as text; `param_<name>` binds a parameter of the statement (in ClickHouse's escaped form)."""
    database: str = ""
    readonly: bool = False
    """Nothing may be changed (ClickHouse's readonly=2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The bytes of the result and what ClickHouse's summary tells."""

    body: bytes = b""
    has_result: bool = False
    """The statement has a result set, if an empty one."""
    rows: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0
    seconds: float = 0.0


class Engine:
    """One data folder, opened by one process. Methods block, and may be called by many threads at a time.

    chDB has no users and no grants: whoever may run statements has this process's rights on files.
    """

    def __init__(self, data_dir: Path) -> None:
        if "?" in str(data_dir):
            raise Fatal(f"{data_dir}: chDB cannot open a folder with ? in its name")
        self._spool = data_dir / "spool"
        self._temporary = data_dir / "engine" / "data" / "_temporary_and_external_tables"
        for leftovers in (self._spool, self._temporary):  # of a process that was killed
            shutil.rmtree(leftovers, ignore_errors=True)
        self._spool.mkdir(parents=True)
        forget_unfinished(data_dir / "engine" / "store")
        # A lone word is no SELECT, as on a server.
        self._where = f"{data_dir / 'engine'}?implicit_select=0"
        self._first = _chdb.connect(self._where)  # the engine lives as long as one connection does
        told = self.query(b"SELECT version(), timezone()", "TSV", Scope()).body.decode()
        self.version, self.timezone = told.rstrip("\n").split("\t")

    def close(self) -> None:
        """Write what is pending and let the folder go."""
        self._first.close()

    def file(self) -> Any:
        """A named temporary file beside the data, gone when closed."""
        return tempfile.NamedTemporaryFile(dir=self._spool)

    def query(self, statement: bytes, form: str, scope: Scope) -> Answer:
        """Run one statement; a FORMAT of its own comes before `form`."""
        with self._session(scope) as session:
            kind = session.classify_query(statement)
            if kind["statement_count"] > 1:
                raise EngineError.of(_SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
            done = session.query(statement, form)
            body = done.bytes()
            return Answer(
                body=body,
                has_result=bool(body) or kind["query_class"] == _chdb.query_class.READ_ONLY,
                rows=done.rows_read(),
                rows_read=done.storage_rows_read(),
                bytes_read=done.storage_bytes_read(),
                rows_written=done.rows_written(),
                bytes_written=done.bytes_written(),
                seconds=done.elapsed(),
            )

    def insert(self, statement: bytes, form: str, data: Iterable[bytes], scope: Scope) -> Answer:
        """Insert the data, all of which must be at hand: nothing undoes a block that was written.

        From a file: chDB's streaming insert acknowledges what was refused behind the parser (a broken constraint, too
        many partitions, a full disk).
        """
        with self.file() as body, self._session(scope) as session:
            body.writelines(data)
            body.flush()
            into, settings = split_settings(statement)
            source = f" FROM INFILE {_quoted(body.name, chr(39))} COMPRESSION 'none' "
            done = session.query(into + source.encode() + settings + b" FORMAT " + form.encode(), "Null")
            written, size = done.rows_written(), done.bytes_written()
            return Answer(rows_written=written, bytes_written=size, seconds=done.elapsed())

    def unpack(self, file: Path, method: str) -> bytes:
        """Decompress a file, by any method of ClickHouse's: gzip, deflate, zstd, lz4, br, snappy, xz."""
        scope = Scope(settings={"param_file": str(file), "param_method": method})
        sql = b"SELECT * FROM file({file:String}, 'RawBLOB', 'body String', {method:String})"
        return self.query(sql, "RawBLOB", scope).body if file.stat().st_size else b""

    def pack(self, body: bytes, method: str) -> bytes:
        """Compress, by the same methods."""
        with self.file() as plain:
            plain.write(body)
            plain.flush()
            packed = self._spool / uuid.uuid4().hex
            names = {"param_from": plain.name, "param_to": str(packed), "param_method": method}
            sql = b"""INSERT INTO FUNCTION file({to:String}, 'RawBLOB', 'body String', {method:String})
                SELECT * FROM file({from:String}, 'RawBLOB', 'body String')"""
            try:
                self.query(sql, "Null", Scope(settings=names))
                return packed.read_bytes()
            finally:
                packed.unlink(missing_ok=True)

    def frame(self, body: bytes) -> bytes:
        """Put into ClickHouse's own compressed blocks with their checksums: a column file is made of just those."""
        with self.file() as plain, self._session(Scope(settings={"param_body": plain.name})) as session:
            plain.write(body)
            plain.flush()
            session.query("CREATE TEMPORARY TABLE framed (byte UInt8 CODEC(LZ4)) ENGINE = TinyLog", "Null")
            session.query("INSERT INTO framed SELECT * FROM file({body:String}, 'RowBinary', 'byte UInt8')", "Null")
            table = session.query(
                "SELECT uuid FROM system.tables WHERE is_temporary AND name = 'framed'", "TSV"
            ).bytes()
            name = table.decode().strip().replace("-", "%2D")
            return (self._temporary / f"_tmp_{name}" / "byte.bin").read_bytes()

    @contextmanager
    def _session(self, scope: Scope) -> Iterator[Any]:
        """A connection of its own (0.3 ms), so that settings end with the request."""
        session = _chdb.connect(self._where)
        try:
            if scope.database:
                session.query(f"USE {_quoted(scope.database, '`')}", "Null")
            settings = dict(scope.settings) | ({"readonly": "2"} if scope.readonly else {})
            if settings:
                session.query(f"SET {', '.join(_assignment(*pair) for pair in settings.items())}", "Null")
            yield session
        except RuntimeError as error:
            raise EngineError.said(str(error)) from None
        finally:
            session.close()


def _assignment(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise EngineError.of(_UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting {name!r}")
    return f"{name}={_quoted(value, chr(39))}"


def _quoted(text: str, quote: str) -> str:
    """As an SQL literal or name; all that its lexer reads inside quotes is the escape and the quote."""
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote

"""A bounded queue of records on disk, in order, for the time when the broker is away.

Segments `<n>.log` hold records: length and CRC-32 of the body (4 bytes each, big-endian), then the body. `head` names
the oldest record that is still wanted. A record is taken (`take`) and then done (`done`), in order; what was taken and
not done is taken again by the next process.
"""

import os
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_FRAME = struct.Struct(">II")
SEGMENT = 16 * 1024 * 1024
LONGEST = 8 * 1024 * 1024


class Spool:
    """One process owns a folder. `limit` bounds its bytes on disk, to a segment."""

    def __init__(self, folder: Path, limit: int, segment: int = SEGMENT) -> None:
        self._folder = folder
        self.limit = limit
        self._segment = segment
        self.torn = 0
        """Bytes of a half-written last record, cut off after a crash."""
        self.damaged = 0
        """Bytes that could not be read back: the rest of a segment whose record does not match its checksum."""
        folder.mkdir(parents=True, exist_ok=True)
        self._cursor = self._read_head()
        """(segment, offset) of the next record to take."""
        self._taken: deque[tuple[int, int]] = deque()
        """(segment, offset behind the record) of records taken and not done."""
        self._segments: dict[int, int] = {}
        """Number of each segment, oldest first -> its bytes."""
        for path in sorted(folder.glob("[0-9]*.log")):
            self._segments[int(path.stem)] = path.stat().st_size
        if self._segments:
            self._cut(max(self._segments))
        self._out: BinaryIO | None = None
        self._dirty = False
        self._forget()

    @property
    def waiting(self) -> bool:
        """There are records not taken yet."""
        number, offset = self._cursor
        return any(size > (offset if n == number else 0) for n, size in self._segments.items() if n >= number)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(self._segments.values())

    def append(self, record: bytes, *, taken: bool = False) -> bool:
        """Write a record behind the others, durable after `sync`. False: it does not fit, nothing was written.

        `taken`: it is under way already and only kept in case the process dies; then nothing may be waiting.
        """
        if self.size + len(record) > self.limit or len(record) > LONGEST:
            return False
        out, number = self._writer()
        out.write(_FRAME.pack(len(record), zlib.crc32(record)) + record)
        self._segments[number] += _FRAME.size + len(record)
        self._dirty = True
        if taken:
            self._cursor = (number, self._segments[number])
            self._taken.append(self._cursor)
        return True

    def sync(self) -> None:
        """Make what was appended durable."""
        if self._dirty and self._out is not None:
            self._out.flush()
            os.fsync(self._out.fileno())
            self._dirty = False

    def take(self, most: int) -> Sequence[bytes]:
        """The next records, oldest first."""
        self.sync()
        found: list[bytes] = []
        while len(found) < most and self.waiting:
            number, offset = self._cursor
            later = [n for n in self._segments if n > number]
            if number not in self._segments or offset >= self._segments[number]:
                self._cursor = (min(later), 0)
                continue
            for record, end in _records(self._path(number), offset, most - len(found)):
                found.append(record)
                self._cursor = (number, end)
                self._taken.append(self._cursor)
            if self._cursor == (number, offset):
                self.damaged += self._segments[number] - offset
                self._cursor = (number, self._segments[number])
        return found

    def done(self, count: int) -> None:
        """The oldest `count` of the taken records are wanted no more."""
        for _ in range(count):
            number, end = self._taken.popleft()
        if count:
            fresh = self._folder / "head.new"
            fresh.write_text(f"{number} {end}", encoding="ascii")
            fresh.replace(self._folder / "head")
            self._forget()

    def close(self) -> None:
        self.sync()
        if self._out is not None:
            self._out.close()
            self._out = None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.log"

    def _writer(self) -> tuple[BinaryIO, int]:
        number = max(self._segments, default=self._cursor[0])
        if self._out is None or self._segments[number] >= self._segment:
            self.close()
            number += 1
            self._segments[number] = 0
            self._out = self._path(number).open("xb")
            _sync_folder(self._folder)
        return self._out, number

    def _cut(self, number: int) -> None:
        """Only the last segment can end in the middle of a record: the process died while writing it."""
        end = max((end for _, end in _records(self._path(number), 0)), default=0)
        self.torn = self._segments[number] - end
        if self.torn:
            os.truncate(self._path(number), end)
            self._segments[number] = end

    def _forget(self) -> None:
        """Delete the segments that hold nothing wanted."""
        oldest = self._taken[0][0] if self._taken else self._cursor[0]
        empty = not self._taken and not self.waiting
        if empty:
            self.close()
        for number in [n for n in self._segments if empty or n < oldest]:
            self._path(number).unlink()
            del self._segments[number]

    def _read_head(self) -> tuple[int, int]:
        try:
            number, offset = (self._folder / "head").read_text(encoding="ascii").split()
            return int(number), int(offset)
        except (FileNotFoundError, ValueError):
            return 0, 0


def _records(path: Path, offset: int, most: int = 1 << 62) -> list[tuple[bytes, int]]:
    """(body, offset behind it) of the whole records from `offset` on, up to the first that cannot be read."""
    found: list[tuple[bytes, int]] = []
    with path.open("rb") as file:
        file.seek(offset)
        while len(found) < most and len(head := file.read(_FRAME.size)) == _FRAME.size:
            length, crc = _FRAME.unpack(head)
            body = file.read(length) if length <= LONGEST else b""
            if len(body) != length or zlib.crc32(body) != crc:
                break
            offset += _FRAME.size + length
            found.append((body, offset))
    return found


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable only with its folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

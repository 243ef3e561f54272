"""Following one growing file over its rotation, with a position that survives restarts.

A position names the file by its inode and by its beginning: an inode is used again, and a copy has another. What was
not read of a rotated file is read before the present one.
"""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import structlog

from producers.adapter import Batch, Frame, Notice, Ordinals, Position, Reading

HEAD = 512
"""Bytes at a file's beginning that tell it from others."""
CHUNK = 256 * 1024
LONGEST = 64 * 1024
"""A line may be that long; of a longer one the beginning is given, for the dead letters."""
_RECENT = 64 * 1024
"""Bytes before a position in which identical lines are looked for, so that ordinals go on as before."""

log = structlog.get_logger()


class Tail:
    """Reads on from a reading's position. A line is given once its end is written."""

    def __init__(self, path: Path, reading: Reading, *, from_start: bool) -> None:
        self._path = path
        self._clock = reading.clock
        self._pbx = reading.pbx
        self._session = f"{reading.chance.getrandbits(64):016x}"
        self._seq = 0
        self._ordinals = Ordinals()
        self._file: BinaryIO | None = None
        self._offset = 0
        self._begin = b""
        """The first bytes of the open file, at most HEAD, as far as they were read."""
        self._notices: list[Notice] = []
        self._seen = int(reading.position.get("seen_us", 0))
        if "offset" in reading.position:  # another kind of source was read before under this name
            self._resume(reading.position)
        elif not from_start and path.exists():
            self._open(path, path.stat().st_size)

    def next(self) -> Batch:
        """The next lines; an empty batch when there are none for now."""
        if self._notices:
            notices, self._notices = self._notices, []
            return Batch(items=notices)
        if self._file is None and self._path.exists():
            self._open(self._path)
        while self._file is not None:
            if self._is_cut():
                self._rescue()
                continue
            over = self._is_over()  # asked before reading: what was written until then is read
            data = os.pread(self._file.fileno(), CHUNK, self._offset)
            whole = data[: data.rfind(b"\n") + 1]
            if whole or len(data) > LONGEST:
                return self._give(whole or data)
            if not over:
                break
            rest = self._give(data).items if data else ()
            with suppress(FileNotFoundError):  # rotated again this very moment: the next turn looks anew
                self._open(self._after_this())
            if rest:
                return Batch(items=rest)  # the next file's first line gives a position
        return Batch()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _give(self, data: bytes) -> Batch:
        self._begin += data[: HEAD - len(self._begin)]
        self._offset += len(data)
        self._seen = now = self._clock.now()
        frames = []
        for line in data.removesuffix(b"\n").split(b"\n"):
            text = line.removesuffix(b"\r")
            if text:
                self._seq += 1
                frames.append(Frame(text, now, self._seq, self._ordinals.of(text)))
        return Batch(items=frames, position=self._position())

    def _position(self) -> Position:
        assert self._file is not None
        return {
            "inode": os.fstat(self._file.fileno()).st_ino,
            "offset": self._offset,
            "head": len(self._begin),
            "hash": _hash(self._begin),
            "seen_us": self._seen,
        }

    # Which file

    def _open(self, path: Path, offset: int = 0) -> None:
        self.close()
        self._file = path.open("rb")
        self._offset = offset
        self._begin = os.pread(self._file.fileno(), min(offset, HEAD), 0)

    def _is_over(self) -> bool:
        """Nobody writes to the open file any more: its name belongs to another one."""
        assert self._file is not None
        try:
            return self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _is_cut(self) -> bool:
        """The file was emptied in place, and may have grown again."""
        assert self._file is not None
        begin = os.pread(self._file.fileno(), len(self._begin), 0)
        return begin != self._begin or os.fstat(self._file.fileno()).st_size < self._offset

    def _rescue(self) -> None:
        """After copying and cutting: what we had not read is in the copy; then the file begins anew."""
        copy = self._matching(None, self._offset, len(self._begin), _hash(self._begin))
        offset = self._offset
        self.close()
        if copy is None:
            log.warning("the file was cut and no copy of it is beside it", pbx=self._pbx, file_name=self._path.name)
            self._open(self._path)
            return
        self._open(copy, offset)

    def _resume(self, position: Position) -> None:
        offset, size, known = int(position["offset"]), int(position["head"]), str(position["hash"])
        found = self._matching(int(position["inode"]), offset, size, known)
        if found is None:
            if self._path.exists() or self._rotated():
                self._lost()
            unread = [p for p in self._rotated() if p.stat().st_mtime_ns // 1000 > self._seen]
            if unread:
                self._open(unread[0])
            return
        self._open(found, offset)
        assert self._file is not None
        start = max(0, offset - _RECENT)
        for line in os.pread(self._file.fileno(), offset - start, start).split(b"\n")[:-1]:
            self._ordinals.of(line.removesuffix(b"\r"))

    def _after_this(self) -> Path:
        """The file that followed the open one; another with the same beginning is a copy of it."""
        assert self._file is not None
        after = os.fstat(self._file.fileno()).st_mtime_ns
        later = (p for p in self._rotated() if p.stat().st_mtime_ns > after and not self._is_copy(p))
        return next(later, self._path)

    def _is_copy(self, path: Path) -> bool:
        with path.open("rb") as file:
            return bool(self._begin) and file.read(len(self._begin)) == self._begin

    def _rotated(self) -> list[Path]:
        """The files that were this one, oldest first; compressed ones cannot be read on."""
        beside = self._path.parent.glob(self._path.name + "?*") if self._path.parent.exists() else ()
        files = [p for p in beside if p.is_file() and p.suffix not in (".gz", ".xz", ".bz2", ".zst")]
        return sorted(files, key=lambda p: p.stat().st_mtime_ns)

    def _matching(self, inode: int | None, offset: int, size: int, known: str) -> Path | None:
        """The file with that beginning that holds at least `offset` bytes; the one with the inode before others."""
        beside = [self._path, *self._rotated()] if inode is not None else self._rotated()
        found = []
        for path in beside:
            try:
                with path.open("rb") as file:
                    status = os.fstat(file.fileno())
                    if status.st_size >= offset and _hash(file.read(size)) == known:
                        found.append((status.st_ino != inode, path))
            except FileNotFoundError:
                continue
        return min(found)[1] if found else None

    def _lost(self) -> None:
        now = self._clock.now()
        self._seq += 1
        data = {"from_us": str(self._seen), "to_us": str(now), "reason": "rotated away", "session": self._session}
        self._notices.append(Notice(type="gap.detected", ts=now, received_at=now, seq=self._seq, data=data))
        log.error("records were rotated away before they were read", pbx=self._pbx, file_name=self._path.name)


def _hash(begin: bytes) -> str:
    return blake2b(begin, digest_size=8).hexdigest()

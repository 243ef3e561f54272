"""Tokens of inserts that a kill cut short, taken back before the engine starts.

A MergeTree table notes the token of an insert in its deduplication log first and puts the part in its place after
that (MergeTreeSink of ClickHouse 26.9, seen with strace). A process that is killed between the two leaves a token
without rows: the insert's retry would be acknowledged as a duplicate, and the rows lost.
"""

import os
import re
from pathlib import Path

_ADDED = "1"
# <partition>_<first block>_<last block>_<level>, and the mutation if there was one
_PART = re.compile(r"(?P<partition>.+?)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")


def forget_unfinished(store: Path) -> int:
    """Drop the tokens of parts that neither exist nor were merged into one that does; return how many.

    `store` is the folder with the tables of an engine that does not run.
    """
    forgotten = 0
    for log in store.glob("*/*/deduplication_logs/*.txt"):
        parts = [found for entry in log.parent.parent.iterdir() if (found := _PART.fullmatch(entry.name))]
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not _unfinished(line, parts)]
        if len(kept) < len(lines):
            fresh = store.parent / "deduplication.fresh"  # the engine reads whatever is in the log's own folder
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(kept)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(log)
            forgotten += len(lines) - len(kept)
    return forgotten


def _unfinished(line: str, parts: list[re.Match[str]]) -> bool:
    operation, _, rest = line.partition("\t")
    part = _PART.fullmatch(rest.partition("\t")[0])
    if operation != _ADDED or part is None:
        return False
    first, last = int(part["first"]), int(part["last"])
    return not any(
        there["partition"] == part["partition"] and int(there["first"]) <= first and last <= int(there["last"])
        for there in parts
    )

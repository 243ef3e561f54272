"""Record every scenario as fixtures: `python -m tests.real.asterisk.record [scenario …]` (as root, on Debian).

Writes what the adapter's user received (`frames.txt`, raw), the lines of Master.csv, and the truth of each call.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.folder import asterisk_folder
from tests.real.asterisk.stories import STORIES, Truth

_PRODUCERS = Path(__file__).parents[2] / "producers" / "pbx"
_TOGETHER = {"two_calls_at_once": ("inbound_answered", "queue_ringall_local")}


def record(bench: Bench, case: str, scenarios: Sequence[str]) -> None:
    """Play the scenarios together and write their fixtures under the name of the case."""
    lines = _size(bench.master_csv)
    with bench.session() as listener:
        since = listener.position()
        truths = bench.play_together(*scenarios)
        frames = b"".join(frame.raw for frame in listener.frames[since:])
    ami, cdr = (_PRODUCERS / adapter / case for adapter in ("asterisk_ami", "asterisk_cdr"))
    _write(ami, "frames.txt", frames, truths)
    _write(cdr, "Master.csv", bench.master_csv.read_bytes()[lines:], truths)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _write(folder: Path, name: str, content: bytes, truths: Sequence[Truth]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    calls = {"calls": [asdict(truth) | {"did": truth.did, "queue": truth.queue} for truth in truths]}
    (folder / "truth.json").write_bytes(orjson.dumps(calls, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def main() -> None:
    """Record the scenarios named on the command line, or all."""
    alone = {name: tuple(filter(None, (story.beside, name))) for name, story in STORIES.items()}
    cases: Mapping[str, tuple[str, ...]] = alone | _TOGETHER
    with TemporaryDirectory(prefix="asterisk-bench-") as home:
        bench = Bench(folder=asterisk_folder(_say), home=Path(home))
        try:
            bench.start()
            for case in sys.argv[1:] or cases:
                _say(case)
                record(bench, case, cases[case])
        finally:
            bench.stop()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()

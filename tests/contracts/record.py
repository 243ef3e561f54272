"""Write what every recording gives today beside it: `python -m tests.contracts.record [ADAPTER …]`. Read the difference."""

import sys

from streams.runtime import plugins
from tests.contracts import adapter_laws as laws


def main(names: list[str]) -> None:
    for name in names or plugins.names(laws.PACKAGE):
        for case in laws.recordings(name):
            events, refused = laws.outcome(name, case)
            (case / "events.jsonl").write_bytes(laws.lines([laws.told(e) for e in events]))
            beside = case / "rejects.jsonl"
            beside.unlink(missing_ok=True)
            if refused:
                beside.write_bytes(laws.lines([{"message": m, "reason": r} for m, r in refused]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m tests.streams.runtime.cli.draw` draws the pages of `explained/` anew; their difference is to be read."""

from streams.runtime.cli import lanes
from tests.streams.runtime.cli.test_explain import CALLS, GOLDEN, drawn

if __name__ == "__main__":
    for name, call in CALLS.items():
        (GOLDEN / f"{name}.txt").write_text("\n".join(drawn(call(), 100, lanes.LINES)) + "\n", encoding="utf-8")

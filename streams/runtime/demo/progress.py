"""The demo while it runs: what has happened so far beside what has arrived so far."""

import threading
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from streams.runtime import warehouse
from streams.runtime.clock import Clock
from streams.runtime.config import Settings
from streams.runtime.demo.centre import Centre, truth_lines
from streams.runtime.demo.latency import RingWatch
from streams.runtime.errors import Fatal

_LOOK_S = 0.5
_PATIENCE_S = 60.0
"""How long after the last hang-up everything may take to arrive before the comparison is made all the same."""

_ARRIVED = """
SELECT (SELECT count() FROM calls_latest WHERE state = 'final') AS final,
       (SELECT count() FROM calls_latest WHERE state NOT IN ('final', 'merged')) AS open,
       (SELECT count() FROM crm_writes_latest WHERE state = 'CONFIRMED') AS written
"""


class Progress:
    """Shows the counts until all calls are over and have arrived, or until patience ends."""

    def __init__(self, centre: Centre, settings: Settings, clock: Clock, console: Console) -> None:
        self._centre, self._clock, self._console = centre, clock, console
        self._client = warehouse.connect(settings.clickhouse)
        self._calls = centre.plan.calls * len(centre.ports)

    def follow(self, watch: RingWatch, tend: Callable[[], None], stop: threading.Event | None = None) -> None:
        """Returns when everything has arrived, when it should have, or when a person stops it."""
        deadline: float | None = None
        with Live(console=self._console, refresh_per_second=2, transient=True) as live:
            while not self._clock.sleep(_LOOK_S, stop):
                tend()
                ended, open_ = self._happened()
                arrived = self._arrived()
                live.update(self._table(ended, open_, arrived, watch))
                if ended < self._calls:
                    continue
                if arrived["final"] >= ended and arrived["written"] >= ended and not arrived["open"]:
                    return
                deadline = deadline or self._clock.monotonic() + _PATIENCE_S
                if self._clock.monotonic() > deadline:
                    return

    def _happened(self) -> tuple[int, int]:
        last = {(pbx, line["uniqueid"]): line["open"] for pbx, line in truth_lines(self._centre)}
        return sum(not o for o in last.values()), sum(last.values())

    def _arrived(self) -> dict[str, int]:
        try:
            found = list(warehouse.rows(self._client, _ARRIVED))
        except Fatal:  # the sink has not made its tables yet
            return {"final": 0, "open": 0, "written": 0}
        return found[0]

    def _table(self, ended: int, open_: int, arrived: dict[str, int], watch: RingWatch) -> Table:
        table = Table(title=f"a call centre, {self._calls} calls", show_header=False)
        for what, count in (
            ("calls over / now", f"{ended} / {open_}"),
            ("events on the bus", str(watch.seen)),
            ("calls in the warehouse, final / open", f"{arrived['final']} / {arrived['open']}"),
            ("entries confirmed by the CRM", str(arrived["written"])),
        ):
            table.add_row(what, count)
        return table

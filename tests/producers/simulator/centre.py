"""A small call centre for tests, and the reading of what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from producers.simulator.breaks import Breaks
from producers.simulator.directory import directory
from producers.simulator.exchange import Exchange
from producers.simulator.faults import Loss
from producers.simulator.frames import Frame, Wire
from producers.simulator.plan import Centre, Settings
from producers.simulator.player import Player
from producers.simulator.roster import staff

OPENING = 1_700_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Played:
    """A centre, its player, and the lines of truth, of Master.csv and of agents' breaks that it has written so far."""

    centre: Centre
    player: Player
    told: list[bytes]
    records: list[bytes]
    breaks: list[bytes]

    @property
    def truths(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.told]

    @property
    def closed(self) -> dict[int, dict[str, Any]]:
        """The closed truth line of each call, by its number."""
        return {truth["number"]: truth for truth in self.truths if not truth["open"]}


def build(
    seed: int = 1,
    *,
    calls: int | None = 60,
    rate: float = 2.0,
    speed: float = 5.0,
    agents: int = 12,
    mix: Mapping[str, float] | None = None,
    wire: Wire | None = None,
    loss: Loss | None = None,
    breaks: float = 0.0,
) -> Played:
    """A centre with 40 customers that has not begun to play."""
    settings = Settings(seed=seed, rate=rate, speed=speed, talk_mean=20.0)
    if mix is not None:
        settings = Settings(seed=seed, rate=rate, speed=speed, talk_mean=20.0, mix=mix)
    centre = Centre(settings, staff(agents=agents, queues=2, trunks=2, dids=4), directory(seed, 40))
    told: list[bytes] = []
    records: list[bytes] = []
    exchange = Exchange(centre.staff, opening=OPENING, seed=seed, wire=wire, record=records.append)
    away: list[bytes] = []
    pauses = Breaks(exchange, centre, seed=seed, every_s=breaks, witness=away.append, speed=speed)
    player = Player(centre, exchange, told.append, calls, loss, breaks=pauses)
    return Played(centre=centre, player=player, told=told, records=records, breaks=away)


def play_all(played: Played) -> list[Frame]:
    """All frames to the end of the last call."""
    frames: list[Frame] = []
    for _ in range(100_000):
        due = played.player.due
        if due is None:
            return frames
        frames += played.player.advance(due)
    raise AssertionError("the calls have no end")


def fields(wire: bytes) -> list[tuple[str, str]]:
    """The fields of one frame, in order; the frame must be whole and well-formed."""
    assert wire.endswith(b"\r\n\r\n")
    lines = wire[:-4].decode().split("\r\n")
    assert all(line and ": " in line for line in lines), lines
    pairs = [line.split(": ", 1) for line in lines]
    return [(name, value) for name, value in pairs]


def head(wire: bytes) -> dict[str, str]:
    """The fields of one frame by name; of a repeated one, the first."""
    return dict(reversed(fields(wire)))


def frames_of(stream: bytes) -> list[bytes]:
    """A stream of whole frames, cut into its frames."""
    assert not stream or stream.endswith(b"\r\n\r\n")
    return [part + b"\r\n\r\n" for part in stream.split(b"\r\n\r\n")[:-1]]

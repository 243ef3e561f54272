"""The supervisor: order of start and stop, and how long a role that dies waits, on a clock moved by hand."""

import threading
from pathlib import Path

import pytest

from streams.embedded.process import Child
from streams.embedded.supervisor import Role, Supervisor
from streams.runtime.clock import ManualClock
from streams.runtime.errors import Fatal

STEP = 0.05
"""How often the scene looks."""


class Played(Child):
    """A child that is only written down: it lives until it is told to die, and starts unless it is told not to."""

    def __init__(self, name: str, effects: list[str]) -> None:
        super().__init__([], log=Path("never"), answers=lambda: True)
        self._name, self._effects = name, effects
        self.alive = False
        self.broken = False

    @property
    def pid(self) -> int | None:
        return 1 if self.alive else None

    def start(self, *, wait: float = 90.0) -> None:
        self._effects.append(f"start {self._name}")
        if self.broken:
            raise Fatal("it does not start")
        self.alive = True

    def stop(self, *, wait: float = 30.0) -> None:
        self._effects.append(f"stop {self._name}")
        self.alive = False


class Scene:
    """Three roles under a supervisor, everything they do in one list."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.effects: list[str] = []
        self.children = {name: Played(name, self.effects) for name in ("broker", "sink", "adapter")}
        self.supervisor = Supervisor(self.clock, longest_wait=1.0)

    def roles(self) -> list[Role]:
        return [Role(name=name, child=child) for name, child in self.children.items()]

    def waited(self, name: str) -> float:
        """Seconds from a death to the next start."""
        self.children[name].alive = False
        self.effects.clear()
        before = self.clock.monotonic()
        for _ in range(200):
            self.supervisor.tend()
            if self.effects:
                return self.clock.monotonic() - before
            self.clock.advance(STEP)
        raise AssertionError(f"{name} was never started again")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_roles_start_in_order_and_stop_in_the_opposite_one(scene: Scene) -> None:
    """Nobody starts before what it reads from, or outlives what it writes to."""
    scene.supervisor.start(scene.roles())
    scene.supervisor.stop()
    started = ["start broker", "start sink", "start adapter"]
    assert scene.effects == [*started, "stop adapter", "stop sink", "stop broker"]


def test_a_role_that_does_not_start_ends_the_start_and_all_can_be_stopped(scene: Scene) -> None:
    """What is half up comes down; what never started is not asked for."""
    scene.children["sink"].broken = True
    with pytest.raises(Fatal):
        scene.supervisor.start(scene.roles())
    scene.supervisor.stop()
    assert scene.effects == ["start broker", "start sink", "stop sink", "stop broker"]


def test_a_role_that_dies_again_soon_waits_longer_each_time_up_to_the_limit(scene: Scene) -> None:
    """A crash loop must not eat the machine, and must not be given up on."""
    scene.supervisor.start(scene.roles())
    waits = [scene.waited("sink") for _ in range(5)]
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0], abs=STEP)
    assert scene.supervisor.restarts == {"sink": 5}


def test_a_role_that_ran_well_is_back_at_once_after_its_next_death(scene: Scene) -> None:
    """Yesterday's crash loop is forgotten."""
    scene.supervisor.start(scene.roles())
    for _ in range(4):
        scene.waited("sink")
    scene.clock.advance(60)
    assert scene.waited("sink") == pytest.approx(0.2, abs=STEP)


def test_a_role_that_cannot_start_at_all_is_no_steady_one(scene: Scene) -> None:
    """The time it was away is not time that it lived."""
    scene.supervisor.start(scene.roles())
    scene.clock.advance(60)
    scene.children["sink"].broken = True
    assert [scene.waited("sink") for _ in range(4)] == pytest.approx([0.2, 0.4, 0.8, 1.0], abs=STEP)
    scene.clock.advance(60)
    assert scene.waited("sink") == pytest.approx(1.0, abs=STEP)


def test_the_others_are_left_alone(scene: Scene) -> None:
    """One death is one restart."""
    scene.supervisor.start(scene.roles())
    scene.waited("broker")
    assert scene.effects == ["start broker"]


def test_watching_ends_when_it_is_told_to(scene: Scene) -> None:
    """SIGTERM sets the event."""
    stop = threading.Event()
    stop.set()
    scene.supervisor.watch(stop)
    assert scene.effects == []

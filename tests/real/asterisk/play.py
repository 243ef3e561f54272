"""One call in progress: started from the outside by AMI, watched from the outside, told as its truth."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from streams.runtime.clock import SystemClock
from tests.real.asterisk.stories import STORIES, Facts, Truth
from tests.support.ami import Ami

CLOCK = SystemClock()
_LONGEST = 40.0
_UP = "6"


class NotPlayedError(AssertionError):
    """The parties did not do what the story says: its truth would be a lie."""


@dataclass(slots=True, kw_only=True)
class _Leg:
    """One telephone's part as the outside saw it, times in µs UTC."""

    number: str
    created: int
    up: int | None = None
    ended: int | None = None


class Play:
    """A scenario being played."""

    def __init__(self, *, scenario: str, outside: Ami, pbx: Ami, number: int) -> None:
        """Remember where both event streams stand; `number` makes the caller's channel id unique."""
        self._scenario, self._story = scenario, STORIES[scenario]
        self._outside, self._pbx = outside, pbx
        self._caller_leg = f"caller-{number}"
        self._outside_since, self._pbx_since = outside.position(), pbx.position()

    def start(self) -> None:
        """Hand out the scripts and let the caller dial."""
        story = self._story
        for number, script in story.others.items():
            self._outside.request("DBPut", {"Family": "script", "Key": number, "Val": script})
        endpoint = "carrier" if story.direction == "inbound" else story.caller
        shown = [f"CONNECTEDLINE(num)={story.caller}", f"CONNECTEDLINE(name)={story.caller_name}"]
        if story.hidden:
            shown += ["CONNECTEDLINE(num-pres)=prohib", "CONNECTEDLINE(name-pres)=prohib"]
        self._outside.request(
            "Originate",
            {
                "Channel": f"PJSIP/{story.dialled}@{endpoint}",
                "Context": "play",
                "Exten": "s",
                "Priority": "1",
                "Timeout": str(round(story.patience * 1000)),
                "Variable": [f"script={story.after_answer}", *shown],
                "ChannelId": self._caller_leg,
                "Async": "true",
            },
        )

    def wait(self) -> None:
        """Return when every telephone of the call is put down; raises TimeoutError."""
        try:
            until(lambda: bool(legs := self._legs()) and all(leg.ended for leg in legs), f"{self._scenario} to end")
        finally:
            for number in self._story.others:
                self._outside.request("DBDel", {"Family": "script", "Key": number})

    def truth(self) -> Truth:
        """What happened; raises `NotPlayedError` when the outside saw something else than the story tells."""
        legs = self._legs()
        called = legs[1:]
        people = {offer.agent for offer in self._story.offers} | set(self._story.others)
        expected = sorted((o.agent, o.result == "answered") for o in self._story.offers)
        found = sorted(
            (leg.number, leg.up is not None) for leg in called if leg.number in people and len(leg.number) == 3
        )
        if found != expected:
            raise NotPlayedError(f"{self._scenario}: telephones (number, picked up) were {found}, not {expected}")
        return Truth(
            scenario=self._scenario,
            started_at=legs[0].created,
            connected_at=min((leg.up for leg in called if leg.up), default=None),
            ended_at=max(leg.ended or 0 for leg in legs),
            linkedid=self._linkedid(),
            **{fact.name: getattr(self._story, fact.name) for fact in fields(Facts)},
        )

    def _legs(self) -> list[_Leg]:
        """The caller's own leg first, then those called, in the order of their beginning."""
        numbers = {offer.agent for offer in self._story.offers} | set(self._story.others)
        legs: dict[str, _Leg] = {}
        for event in self._outside.events(self._outside_since):
            uniqueid = event.get("Uniqueid", "")
            match event["Event"]:
                case "Newchannel" if uniqueid == self._caller_leg:
                    legs[uniqueid] = _Leg(number=self._story.caller, created=stamp(event))
                case "Newchannel" if event["Channel"].startswith("PJSIP/from-pbx") and event["Exten"] in numbers:
                    legs[uniqueid] = _Leg(number=event["Exten"], created=stamp(event))
                case "Newstate" if uniqueid in legs and event["ChannelState"] == _UP:
                    legs[uniqueid].up = stamp(event)
                case "Hangup" if uniqueid in legs:
                    legs[uniqueid].ended = stamp(event)
        return list(legs.values())

    def _linkedid(self) -> str:
        endpoint = "trunk" if self._story.direction == "inbound" else self._story.caller
        for event in self._pbx.events(self._pbx_since):
            first = event["Event"] == "Newchannel" and event["Uniqueid"] == event["Linkedid"]
            if first and event["Exten"] == self._story.dialled and event["Channel"].startswith(f"PJSIP/{endpoint}-"):
                return event["Linkedid"]
        raise NotPlayedError(f"{self._scenario}: the PBX saw no call to {self._story.dialled} from {endpoint}")


def stamp(event: dict[str, str]) -> int:
    """The event's own time in µs UTC (`Timestamp: 1700000000.123456`)."""
    seconds, _, fraction = event["Timestamp"].partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def until(done: Callable[[], bool], what: str, *, timeout: float = _LONGEST) -> None:
    """Wait until `done`, raising TimeoutError after `timeout` seconds."""
    deadline = CLOCK.monotonic() + timeout
    while not done():
        if CLOCK.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        CLOCK.sleep(0.05)

"""One call in progress: started from the outside by AMI, watched from the outside, told as its truth."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

from streams.runtime.clock import SystemClock
from tests.real.asterisk.deeds import do
from tests.real.asterisk.sipp import Place, Telephone
from tests.real.asterisk.stories import STORIES, Facts, Leg, Truth
from tests.support.ami import Ami

CLOCK = SystemClock()
_LONGEST = 60.0
_UP = "6"


class NotPlayedError(AssertionError):
    """The parties did not do what the story says: its truth would be a lie."""


class Play:
    """A scenario being played."""

    def __init__(self, *, scenario: str, outside: Ami, pbx: Ami, place: Place, number: int) -> None:
        """Remember where both event streams stand; `number` makes the callers' channel ids unique."""
        self._scenario, self._story = scenario, STORIES[scenario]
        self._outside, self._pbx = outside, pbx
        self._caller_leg = f"caller-{number}"
        self._outside_read = outside.position()
        self._pbx_since = pbx.position()
        self._place = place
        self._telephones: list[Telephone] = []
        self._legs: dict[str, Leg] = {}
        self._due: float | None = None

    def start(self) -> None:
        """Hand out the scripts and let the caller dial, at once or when it is time."""
        for number, script in self._story.others.items():
            self._outside.request("DBPut", {"Family": "script", "Key": number, "Val": script})
        for number, scenario in self._story.sipp.items():
            self._telephones.append(Telephone(self._place, number, scenario, self._story.sipp_to))
        self._due = CLOCK.monotonic() + self._story.delay
        if not self._story.delay:
            self._begin()

    def wait(self) -> None:
        """Return when every telephone of the call is put down; raises TimeoutError."""
        try:
            until(self.over, f"{self._scenario} to end")
        finally:
            self.forget()

    def over(self) -> bool:
        """Whether every telephone is put down. To be asked again and again: it does what the scripts tell."""
        if self._due is not None:
            if CLOCK.monotonic() < self._due:
                return False
            self._begin()
        self._watch()
        put_down = bool(self._legs) and all(leg.ended for leg in self._legs.values())
        busy = [telephone for telephone in self._telephones if not telephone.over()]
        return put_down and not busy

    def forget(self) -> None:
        """Take back what was handed out: another story may need these telephones."""
        for number in self._story.others:
            self._outside.request("DBDel", {"Family": "script", "Key": number})
        for telephone in self._telephones:
            telephone.stop()

    def truth(self) -> Truth:
        """What happened; raises `NotPlayedError` when the outside saw something else than the story tells."""
        played = (leg for telephone in self._telephones for leg in telephone.legs())
        legs = sorted([*self._legs.values(), *played], key=lambda leg: leg.created)
        offers = self._story.offers
        people = {offer.agent for offer in offers} | set(self._story.others)
        expected = sorted((o.agent, o.result == "answered") for o in offers)
        rang = [leg for leg in legs[1:] if leg.called and leg.number in people and len(leg.number) == 3]
        found = sorted((leg.number, leg.up is not None) for leg in rang)
        if found != expected:
            raise NotPlayedError(f"{self._scenario}: telephones (number, picked up) were {found}, not {expected}")
        return Truth(
            scenario=self._scenario,
            started_at=legs[0].created,
            connected_at=min((leg.up for leg in legs[1:] if leg.up), default=None),
            ended_at=max(leg.ended or 0 for leg in legs),
            linkedid=self._linkedid(),
            legs=tuple(legs),
            **{fact.name: getattr(self._story, fact.name) for fact in fields(Facts)},
        )

    def _begin(self) -> None:
        self._due = None
        story = self._story
        match story.starts:
            case "click":
                self._originate_inside(f"PJSIP/{story.caller}", story.dialled)
            case "callback":
                self._originate_inside(f"PJSIP/{story.dialled}@trunk", story.caller)
            case "caller":
                shown = [f"CONNECTEDLINE(num)={story.caller}", f"CONNECTEDLINE(name)={story.caller_name}"]
                if story.hidden:
                    shown += ["CONNECTEDLINE(num-pres)=prohib", "CONNECTEDLINE(name-pres)=prohib"]
                endpoint = "carrier" if story.direction == "inbound" else story.caller
                self._originate(f"PJSIP/{story.dialled}@{endpoint}", self._caller_leg, story.after_answer, *shown)

    def _originate(self, channel: str, leg: str, script: str, *shown: str) -> None:
        self._outside.request(
            "Originate",
            {
                "Channel": channel,
                "Context": "play",
                "Exten": "s",
                "Priority": "1",
                "Timeout": str(round(self._story.patience * 1000)),
                "Variable": [f"script={script}", *shown],
                "ChannelId": leg,
                "Async": "true",
            },
        )

    def _originate_inside(self, channel: str, exten: str) -> None:
        """As a click in the CRM does it: the PBX itself calls both sides."""
        where = {"Context": "internal", "Exten": exten, "Priority": "1"}
        timeout = str(round(self._story.patience * 1000))
        self._pbx.request("Originate", {"Channel": channel, **where, "Timeout": timeout, "Async": "true"})

    def _watch(self) -> None:
        """Read on what the outside said since the last time."""
        frames = self._outside.frames[self._outside_read :]
        self._outside_read += len(frames)
        numbers = {offer.agent for offer in self._story.offers} | set(self._story.others)
        for frame in frames:
            event = frame.fields()
            uniqueid = event.get("Uniqueid", "")
            match event.get("Event"):
                case "Newchannel" if uniqueid.startswith(f"{self._caller_leg}.") or uniqueid == self._caller_leg:
                    number = uniqueid.partition(".")[2] or self._story.caller
                    self._legs[uniqueid] = Leg(number=number, created=stamp(event), called=False)
                case "Newchannel" if event["Channel"].startswith("PJSIP/from-pbx") and event["Exten"] in numbers:
                    self._legs[uniqueid] = Leg(number=event["Exten"], created=stamp(event), called=True)
                case "Newstate" if uniqueid in self._legs and event["ChannelState"] == _UP:
                    self._legs[uniqueid] = replace(self._legs[uniqueid], up=stamp(event))
                case "Hangup" if uniqueid in self._legs:
                    self._legs[uniqueid] = replace(self._legs[uniqueid], ended=stamp(event))
                case "UserEvent" if uniqueid in self._legs and event["UserEvent"] == "Do":
                    self._do(*event["Step"].split("-"))

    def _do(self, deed: str, who: str, *rest: str) -> None:
        if deed == "call":
            number = rest[0]
            self._originate(f"PJSIP/{number}@{who}", f"{self._caller_leg}.{who}", self._story.dials[who])
        else:
            do(self._pbx, deed, self._channel(who), who, *rest)

    def _channel(self, extension: str) -> str:
        """The PBX's latest channel to that telephone, or "" when it has none."""
        names = [event["Channel"] for event in self._begun() if event["Channel"].startswith(f"PJSIP/{extension}-")]
        return names[-1] if names else ""

    def _begun(self) -> Iterator[dict[str, str]]:
        return (event for event in self._pbx.events(self._pbx_since) if event["Event"] == "Newchannel")

    def _linkedid(self) -> str:
        story = self._story
        inside = story.direction != "inbound"
        endpoint = "trunk" if not inside or story.starts == "callback" else story.caller
        dialled = story.dialled if story.starts == "caller" else "s"
        for event in self._begun():
            first = event["Uniqueid"] == event["Linkedid"] and event["Channel"].startswith(f"PJSIP/{endpoint}-")
            if first and event["Exten"] == dialled and (inside or story.hidden or event["CallerIDNum"] == story.caller):
                return event["Linkedid"]
        raise NotPlayedError(f"{self._scenario}: the PBX saw no call to {story.dialled} from {endpoint}")


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

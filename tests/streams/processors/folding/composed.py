"""Whole calls put together by chance: how they begin, how they change hands, how they end. Order is a PBX's own."""

from hypothesis import strategies as st

from tests.streams.processors.folding.script import CUSTOMER, Script

MOVES = ("hold", "blind", "attended", "parked", "park_timeout", "conference", "recorded", "consulted")


class Composer:
    """Writes one call; who talks with the customer's leg C now is `agent`, in `bridge`."""

    def __init__(self) -> None:
        self.call = Script()
        self.agent = ""
        self.bridge = ""
        self._parties = 0

    # How it begins: each of these ends with the customer and an agent talking.

    def group(self) -> None:
        """Two telephones ring, one answers."""
        self.call.arrive()
        first, second = self._name(), self._name()
        for name in (first, second):
            self.call.dial("C", name, agent=self._number(name))
            self.call.ring(name)
        self.call.wait(2)
        self.call.answer(second, "C")
        self.call.unanswered("C", first, "CANCEL", 26)
        self.call.up("C")
        self._meet(second)

    def queue(self) -> None:
        """One member lets it ring out, the next takes it."""
        call = self.call
        call.arrive()
        call.up("C")
        call.queue("C", "support")
        first, second = self._name(), self._name()
        call.offer("C", first, queue="support", agent=self._number(first))
        call.wait(5)
        call.member("agent.ring_no_answer", "C", first, queue="support", agent=self._number(first))
        call.unanswered("C", first, "NOANSWER", 0)
        call.offer("C", second, queue="support", agent=self._number(second))
        self.bridge = "b0"
        call.take("C", second, queue="support", agent=self._number(second), bridge=self.bridge)
        self.agent = second

    def local(self) -> None:
        """The telephone is behind a Local channel, which stays."""
        call = self.call
        call.arrive()
        for half in (";1", ";2"):
            call.leg(f"L{half}", "Local", "C")
            call.legs[f"L{half}"]["channel"] = f"Local/201@agents-00000001{half}"
            call.say("leg.created", f"L{half}")
        call.say("dial.started", "C", "L;1")
        name = self._name()
        call.dial("L;2", name, agent=self._number(name))
        call.ring(name)
        call.answer(name, "L;2")
        call.bridge("inner", name, "L;2")
        call.answer("L;1", "C")
        call.up("C")
        call.bridge("outer", "L;1", "C")
        self.agent, self.bridge = name, "inner"

    def pickup(self) -> None:
        """It rings here, and is taken there."""
        call = self.call
        call.arrive()
        rings, takes = self._name(), self._name()
        call.dial("C", rings, agent=self._number(rings))
        call.ring(rings)
        call.wait(3)
        call.lift(takes, self._number(takes), dials="*8")
        call.up(takes)
        call.say("pickup", takes, rings)
        call.end(rings, 16)
        call.say("dial.ended", "C", takes, data={"status": "ANSWER"})
        self._meet(takes)

    def click(self) -> None:
        """The PBX is told to ring an agent and then to dial the customer."""
        call = self.call
        name = self._name()
        call.leg(name, f"PJSIP/{self._number(name)}", agent=self._number(name), caller_raw=self._number(name))
        call.say("leg.created", name, data={"context": "internal", "exten": "s", "state": "0"})
        call.say("dial.started", "", name, data={"dial_string": "201"})
        call.ring(name)
        call.answer(name)
        call.say("leg.updated", name, data={"originate": "Success"}, callee_raw="0470123401", callee_e164=CUSTOMER)
        call.dial(name, "C", outside=CUSTOMER)
        call.ring("C")
        call.wait(4)
        call.answer("C", name)
        self._meet(name)

    # How it goes on.

    def hold(self) -> None:
        self.call.hold(self.agent, 7)

    def recorded(self) -> None:
        self.call.say("recording.started", self.agent, data={"file": f"/rec/{self.agent}.wav"})
        self.call.wait(3)
        self.call.say("recording.stopped", self.agent)

    def blind(self) -> None:
        name = self._name()
        data = {"kind": "blind", "extension": self._number(name), "by_leg": self.call.legs[self.agent]["leg_id"]}
        self.call.say("transfer.completed", "C", self.agent, agent=self._number(self.agent), data=data)
        self._leave()
        self.call.wait(1)
        self.call.dial("C", name, agent=self._number(name))
        self.call.ring(name)
        self.call.answer(name, "C")
        self._meet(name)

    def attended(self) -> None:
        """By a second line of the agent's telephone: two linkedids become one."""
        call, second, name = self.call, self._name(), self._name()
        call.say("hold.started", self.agent)
        self._ask(second, name)
        call.say("hold.ended", self.agent)
        call.part(f"of {second}", name)
        legs = {key: call.legs[leg]["leg_id"] for key, leg in self._halves(second, name).items()}
        call.legs[name]["call_id"] = call.legs["C"]["call_id"]
        call.bridge(self.bridge, name)
        call.say("transfer.completed", "C", name, agent=self._number(self.agent), data={"kind": "attended", **legs})
        call.part(self.bridge, self.agent)
        call.part(f"of {second}", second)
        call.end(self.agent)
        call.end(second)
        self.agent = name

    def consulted(self) -> None:
        """The same, but the agent comes back: the question was a call of its own."""
        second, name = self._name(), self._name()
        self.call.say("hold.started", self.agent)
        self._ask(second, name)
        self.call.hang_up(second, name, f"of {second}")
        self.call.say("hold.ended", self.agent)

    def parked(self) -> None:
        self._park()
        name = self._name()
        self.call.lift(name, self._number(name), dials="701")
        self.call.up(name)
        self.call.say("park.ended", "C", name, data={"reason": "retrieved", "space": "701"})
        self.call.part("lot", "C")
        self._meet(name)

    def park_timeout(self) -> None:
        self._park()
        name = self._name()
        self.call.say("park.ended", "C", data={"reason": "timeout", "space": "701"})
        self.call.part("lot", "C")
        self.call.dial("C", name, agent=self._number(name))
        self.call.ring(name)
        self.call.answer(name, "C")
        self._meet(name)

    def conference(self) -> None:
        """Somebody comes in for a while: he shares nothing with the others but the bridge."""
        name = self._name()
        self.call.lift(name, self._number(name), dials="800")
        self.call.up(name)
        self.call.say("conference.joined", name, data={"conference": "room"})
        self.call.bridge(self.bridge, name)
        self.call.wait(5)
        self.call.part(self.bridge, name)
        self.call.say("conference.left", name, data={"conference": "room"})
        self.call.end(name)

    def over(self, by: str) -> None:
        names = (by, self.agent if by == "C" else "C")
        self.call.wait(2)
        self.call.asks_to_hang_up(names[0])
        for name in names:
            self.call.part("outer" if "L;1" in self.call.legs and name == "C" else self.bridge, name)
            self.call.end(name)
        for half in ("L;1", "L;2"):
            if half in self.call.legs:
                self.call.end(half)

    # Parts of these

    def _name(self) -> str:
        self._parties += 1
        return f"P{self._parties}"

    @staticmethod
    def _number(name: str) -> str:
        return f"2{int(name[1:]):02}"

    def _meet(self, name: str) -> None:
        self.agent, self.bridge = name, f"b of {name}"
        self.call.bridge(self.bridge, name, "C")
        self.call.wait(4)

    def _leave(self) -> None:
        self.call.part(self.bridge, self.agent, "C")
        self.call.end(self.agent)

    def _ask(self, second: str, name: str) -> None:
        call = self.call
        call.lift(second, self._number(self.agent), dials=self._number(name))
        call.dial(second, name, agent=self._number(name))
        call.ring(name)
        call.answer(name, second)
        call.bridge(f"of {second}", name, second)
        call.wait(6)

    def _halves(self, second: str, name: str) -> dict[str, str]:
        return {"by_leg": self.agent, "second_by_leg": second, "transferee_leg": "C", "target_leg": name}

    def _park(self) -> None:
        self.call.say("park.started", "C", data={"lot": "default", "space": "701"})
        self.call.part(self.bridge, "C")
        self.call.bridge("lot", "C", kind="parking", technology="holding_bridge")
        self.call.part(self.bridge, self.agent)
        self.call.end(self.agent)
        self.call.wait(9)


@st.composite
def calls(draw: st.DrawFn) -> Script:
    """Any beginning, up to three moves, and either side that hangs up."""
    composer = Composer()
    begin = draw(st.sampled_from(("group", "queue", "local", "pickup", "click")))
    getattr(composer, begin)()
    moves = MOVES if begin != "local" else ("hold", "recorded", "consulted")
    for move in draw(st.lists(st.sampled_from(moves), max_size=3)):
        getattr(composer, move)()
    composer.over(draw(st.sampled_from(("C", composer.agent))))
    return composer.call

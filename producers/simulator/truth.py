"""What really happened in a call, as one JSON line: tests compare everything downstream with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One agent whose telephone rang; times are µs since the opening."""

    agent: str
    result: str
    """answered, no_answer, busy, rejected or cancelled (somebody else took the call, or the caller left)."""
    offered_at: int
    ended_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A transfer: blind, attended (two linkedids meet) or attended_feature (`*2`, one linkedid)."""

    kind: str
    by: str
    to: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Ground truth of one call; times are µs since the opening until `line` makes them µs UTC."""

    number: int
    kind: str
    direction: str
    """inbound, outbound or internal."""
    outcome: str
    """answered, abandoned, abandoned_ringing, voicemail, busy, no_answer, queue_timeout, rejected or failed."""
    customer_number: str = ""
    """E.164; "" when hidden or internal."""
    customer_id: str = ""
    candidates: tuple[str, ...] = ()
    match: str = "none"
    """What a directory lookup must say: matched, ambiguous, none, hidden or internal."""
    did: str = ""
    queue: str = ""
    offers: tuple[Offer, ...] = ()
    answered_by: str = ""
    """The extension that talked first; the customer's number for an outbound call stays in customer_number."""
    agent: str = ""
    """The agent who talked last."""
    started_at: int
    answered_at: int | None = None
    """First human talk."""
    ended_at: int
    talk_s: float = 0.0
    """Talk without hold; the consultation of an attended transfer counts as hold."""
    hold_s: float = 0.0
    queue_wait_s: float = 0.0
    transfers: tuple[Move, ...] = ()
    hangup_by: str = ""
    """caller, callee, agent (of the house, in a call with the outside) or system."""
    recording: str = ""

    def cut(self, at: int) -> "Truth":
        """The same call, ended from outside at that moment."""
        talked = self.answered_at is not None and self.answered_at < at
        talk = (at - self.answered_at) / 1e6 if self.answered_at is not None and talked else 0.0
        return replace(
            self,
            outcome="answered" if talked else "failed",
            answered_at=self.answered_at if talked else None,
            answered_by=self.answered_by if talked else "",
            agent=self.agent if talked else "",
            ended_at=at,
            offers=tuple(replace(o, ended_at=min(o.ended_at, at)) for o in self.offers if o.offered_at < at),
            transfers=tuple(t for t in self.transfers if t.at < at),
            talk_s=max(0.0, round(min(talk, self.talk_s + self.hold_s), 6)),
            hold_s=0.0,
            hangup_by="system",
        )


KNOWN_AT_START = frozenset(
    [
        "number",
        "kind",
        "direction",
        "customer_number",
        "customer_id",
        "candidates",
        "match",
        "did",
        "queue",
        "started_at",
    ]
)


def line(
    truth: Truth,
    *,
    opening: int,
    uniqueid: str,
    linkedids: Sequence[str],
    open_: bool,
    fate: str = "",
    lost: Sequence[str] = (),
) -> bytes:
    """The JSON line. While the call is open it holds only what a witness of its start can know.

    `fate` says what cut the call short (hangup, crash, shutdown), "" when nothing did; `lost` which of its events no
    client was sent (`BridgeEnter b1 agent`).
    """
    record: dict[str, object] = {"uniqueid": uniqueid, "linkedids": list(linkedids), "open": open_, "fate": fate}
    record["lost"] = list(lost)
    told = _absolute(asdict(truth), opening)
    record |= {key: told[key] for key in told if not open_ or key in KNOWN_AT_START}
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _absolute(value: Mapping[str, object], opening: int) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, each in value.items():
        if isinstance(each, int) and (key == "at" or key.endswith("_at")):
            out[key] = opening + each
        elif isinstance(each, tuple):
            out[key] = [_absolute(item, opening) if isinstance(item, dict) else item for item in each]
        else:
            out[key] = each
    return out

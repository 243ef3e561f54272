"""A row of queue_log, from the file (`epoch|callid|queue|agent|event|…`) or the realtime table, to our events.

Sources: apps/app_queue.c and main/logger.c (ast_queue_log), app_agent_pool of each version. Numbers are whole seconds,
but the ringing of RINGNOANSWER and RINGCANCELED is in ms. `callid` is the caller's uniqueid; the agent is a member's
name or interface (log_membername_as_agent). Why a caller left stands here and nowhere else: AMI calls a time-out an
abandon too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from producers.pbx._asterisk.channels import Facts, Site, agent_of, known, scoped
from producers.pbx._asterisk.rows import row
from streams.runtime.errors import Reject

_COLUMNS = ("time", "callid", "queuename", "agent", "event")
_NOBODY = frozenset({"", "NONE", "MANAGER", "REALTIME", "CLI"})
"""In the place of a callid: who made a change that is not about a call."""

Row = Mapping[str, str]
Handler = Callable[[Site, Row, Sequence[str]], Iterator[Facts]]


def read(raw: bytes) -> dict[str, str]:
    """The row by column; what the event says is under `data`, its parts separated by `|`. Raises Reject."""
    if raw.startswith(b"{"):
        found = row(raw, ())
        parts = [found.get(f"data{n}", "") for n in range(1, 6)]
        found.setdefault("data", "|".join(parts).rstrip("|"))
    else:
        cells = raw.decode("utf-8", "replace").split("|", 5)
        if len(cells) < len(_COLUMNS):
            raise Reject(f"{len(cells)} fields; a row of queue_log has five or more")
        found = dict(zip((*_COLUMNS, "data"), (*cells, "")[:6], strict=True))
    if not found.get("event"):
        raise Reject("a row of queue_log without an event")
    return found


def uniqueid(found: Row) -> str:
    """The caller's channel, "" when the row is not about a call."""
    callid = found.get("callid", "")
    return "" if callid in _NOBODY else callid


def facts(site: Site, found: Row) -> Iterator[Facts]:
    """The events of one row; none when it tells of no caller and no agent (QUEUESTART, a site's own words)."""
    handler = _HANDLERS.get(found["event"])
    if handler is None:
        return
    data = [*found.get("data", "").split("|"), *[""] * 6]
    for facts in handler(site, found, data):
        own = {key: value for key, value in facts.get("data", {}).items() if value}
        yield {**_whose(site, found), **facts, "data": own | {"source": "queue_log"}, "synthetic": True}


def _whose(site: Site, found: Row) -> Facts:
    queue = found.get("queuename", "")
    return {"leg_id": scoped(site, uniqueid(found)), "queue": "" if queue in _NOBODY else queue}


def _agent(site: Site, found: Row, event_type: str, /, **data: str) -> Facts:
    told = found.get("agent", "")
    name = "" if told in _NOBODY else told
    interface = name if "/" in name else ""
    member = {"interface": interface, "member": "" if interface else name}
    return {"type": event_type, "agent": agent_of(site, interface, name), "data": member | data}


def _entered(site: Site, _found: Row, data: Sequence[str]) -> Iterator[Facts]:
    """url | caller's number | position | caller's name (log-caller-id-name, since 20)."""
    number = known(data[1])
    yield {
        "type": "queue.entered",
        "caller_raw": number,
        "caller_e164": site.numbers.e164(number),
        "caller_name": known(data[3]),
        "customer_number": site.numbers.customer(number),
        "data": {"position": data[2], "hidden": "1" if site.numbers.is_hidden(number) else ""},
    }


def _left(reason: str, at: int = 0) -> Handler:
    """… position | original position | seconds waited, from `at` on."""

    def handler(_site: Site, _found: Row, data: Sequence[str]) -> Iterator[Facts]:
        position, original, waited = data[at : at + 3]
        told = {"reason": reason, "position": position, "original_position": original, "wait_s": waited}
        yield {"type": "queue.left", "data": told | ({"key": data[0]} if reason == "key" else {})}

    return handler


def _connected(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
    """seconds waited | the agent's channel (the near half of a Local pair) | seconds it rang."""
    yield {"type": "queue.left", "data": {"reason": "connected", "wait_s": data[0]}}
    agent = _agent(site, found, "agent.connected", hold_s=data[0], ring_s=data[2])
    yield agent | {"peer_leg_id": scoped(site, data[1])}


def _completed(by: str) -> Handler:
    """seconds waited | seconds talked | original position."""

    def handler(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
        yield _agent(site, found, "agent.completed", reason=by, hold_s=data[0], talk_s=data[1]) | {"by": by}

    return handler


def _blind(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
    """extension | context | seconds waited | seconds talked | original position. TRANSFER is its name up to 11."""
    yield from _completed("transfer")(site, found, data[2:])
    yield _transfer(site, found, kind="blind", extension=data[0], context=data[1])


def _attended(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
    """BRIDGE | its id, APP | its name, or LINK | two channels; then as with a blind one."""
    after = data[3:] if data[0] == "LINK" else data[2:]
    target = data[2] if data[0] == "LINK" else ""
    bridge = data[1] if data[0] == "BRIDGE" else ""
    yield from _completed("transfer")(site, found, after)
    yield _transfer(
        site, found, kind="attended", destination=data[0].capitalize(), dest_bridge=bridge, target_channel=target
    )


def _transfer(site: Site, found: Row, **data: str) -> Facts:
    caller = _whose(site, found)["leg_id"]
    return _agent(site, found, "transfer.completed", result="Success", transferee_leg=caller, **data)


def _rang(kind: str) -> Handler:
    def handler(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
        yield _agent(site, found, kind, ring_ms=data[0])

    return handler


def _state(state: str, *, paused: str = "", reason: bool = False) -> Handler:
    """A member added in pause says PAUSED."""

    def handler(site: Site, found: Row, data: Sequence[str]) -> Iterator[Facts]:
        waits = data[0] == "PAUSED" and not reason
        yield _agent(
            site,
            found,
            "agent.state",
            event=found["event"],
            state="paused" if waits else state,
            paused="1" if waits else paused,
            reason=data[0] if reason else "",
        )

    return handler


def _did(site: Site, _found: Row, data: Sequence[str]) -> Iterator[Facts]:
    """By the dialplan's QueueLog(): the number that the caller dialled."""
    yield {"type": "leg.updated", "did": site.numbers.e164(data[0]) or data[0], "data": {"did": data[0]}}


_HANDLERS: Mapping[str, Handler] = {
    "ENTERQUEUE": _entered,
    "CONNECT": _connected,
    "COMPLETECALLER": _completed("caller"),
    "COMPLETEAGENT": _completed("agent"),
    "TRANSFER": _blind,
    "BLINDTRANSFER": _blind,
    "ATTENDEDTRANSFER": _attended,
    "ABANDON": _left("abandoned"),
    "EXITWITHTIMEOUT": _left("timeout"),
    "EXITEMPTY": _left("empty"),
    "EXITWITHKEY": _left("key", at=1),
    "WITHDRAW": _left("withdrawn"),
    "JOINEMPTY": _left("empty"),
    "FULL": _left("full"),
    "SYSCOMPAT": _left("unknown"),
    "RINGNOANSWER": _rang("agent.ring_no_answer"),
    "RINGCANCELED": _rang("agent.cancelled"),
    "AGENTDUMP": _rang("agent.declined"),
    "PAUSE": _state("paused", paused="1", reason=True),
    "PAUSEALL": _state("paused", paused="1", reason=True),
    "UNPAUSE": _state("available", paused="0", reason=True),
    "UNPAUSEALL": _state("available", paused="0", reason=True),
    "ADDMEMBER": _state("available"),
    "REMOVEMEMBER": _state("logged_out"),
    "AGENTLOGIN": _state("available"),
    "AGENTLOGOFF": _state("logged_out"),
    "AGENTCALLBACKLOGIN": _state("available"),
    "AGENTCALLBACKLOGOFF": _state("logged_out"),
    "DID": _did,
}

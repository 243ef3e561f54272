"""AMI events about agents themselves: queue membership, telephones, log-ins."""

from collections.abc import Callable, Iterator

from producers.pbx._asterisk.channels import Facts, Fields, Site, agent_of, extension, leg_of

_DEVICE_STATES = {
    "NOT_INUSE": "available",
    "INUSE": "on_call",
    "BUSY": "on_call",
    "RINGING": "ringing",
    "RINGINUSE": "on_call",
    "ONHOLD": "hold",
    "UNAVAILABLE": "unavailable",
    "INVALID": "unavailable",
}
_MEMBER_STATES = {
    "1": "available",
    "2": "on_call",
    "3": "on_call",
    "4": "unavailable",
    "5": "unavailable",
    "6": "ringing",
    "7": "on_call",
    "8": "hold",
}


def member(site: Site, fields: Fields) -> Iterator[Facts]:
    """Queue membership and availability; `Location` and `Name` are the older words.

    `state` is what this event alone says of the agent, `phone` what it says of the telephone whatever the pause.
    """
    interface = fields.get("interface") or fields.get("location", "")
    name = fields.get("membername") or fields.get("name", "")
    phone = _MEMBER_STATES.get(fields.get("status", ""), "unknown") if fields.get("status") else ""
    state = phone or "unknown"
    if fields.get("paused") == "1":
        state = "paused"
    if fields["event"].lower() == "queuememberremoved":
        state = "logged_out"
    data = {
        "event": fields["event"],
        "state": state,
        "phone": phone,
        "interface": interface,
        "state_interface": fields.get("stateinterface", "") if fields.get("stateinterface") != interface else "",
        "member": name,
        "status": fields.get("status", ""),
        "paused": fields.get("paused", ""),
        "reason": fields.get("pausedreason") or fields.get("reason", ""),
        "penalty": fields.get("penalty", ""),
        "wrapup_s": fields.get("wrapuptime", ""),
    }
    yield {
        "type": "agent.state",
        "agent": agent_of(site, interface, name),
        "queue": fields.get("queue", ""),
        "data": {key: value for key, value in data.items() if value},
    }


def device_state(site: Site, fields: Fields) -> Iterator[Facts]:
    """The telephone of an extension; trunks, queues and Local devices have states too, which say nothing of a person.

    A pause is a device as well: `Queue:sales_pause_PJSIP/1001` is in use while it lasts.
    """
    name = fields.get("device", "")
    if ":" not in name.partition("/")[0] and (agent := extension(site, name)):
        native = fields.get("state", "")
        state = _DEVICE_STATES.get(native, "unknown")
        data = {"event": "DeviceStateChange", "interface": name, "status": native, "state": state, "phone": state}
        yield {"type": "agent.state", "agent": agent, "data": data}


def agent_session(site: Site, fields: Fields) -> Iterator[Facts]:
    """Agentlogin and Agentlogoff of app_agent_pool."""
    on = fields["event"].lower() == "agentlogin"
    agent = agent_of(site, f"Agent/{fields.get('agent', '')}", "")
    data = {"event": fields["event"], "state": "available" if on else "logged_out"}
    yield {**leg_of(site, fields), "type": "agent.state", "agent": agent, "data": data}


def listed(site: Site, fields: Fields) -> Iterator[Facts]:
    """A row of a snapshot about an agent: QueueMember of QueueStatus, DeviceStateChange of DeviceStateList."""
    yield from member(site, fields) if fields["event"].lower() == "queuemember" else device_state(site, fields)


HANDLERS: dict[str, Callable[[Site, Fields], Iterator[Facts]]] = {
    "devicestatechange": device_state,
    "agentlogin": agent_session,
    "agentlogoff": agent_session,
    "queuememberstatus": member,
    "queuememberadded": member,
    "queuememberremoved": member,
    "queuememberpause": member,
    "queuememberpaused": member,
    "queuememberpenalty": member,
    "queuememberringinuse": member,
}

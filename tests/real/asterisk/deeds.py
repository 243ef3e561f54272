"""What a script can make the driver do to the PBX in mid-call, by AMI, as a CRM or a supervisor would."""

from collections.abc import Callable, Mapping

from tests.support.ami import Ami

Deed = Callable[[Ami, str, list[str]], object]


def _blind(pbx: Ami, channel: str, rest: list[str]) -> None:
    pbx.request("BlindTransfer", {"Channel": channel, "Context": "internal", "Exten": rest[1]})


def _attended(pbx: Ami, channel: str, rest: list[str]) -> None:
    pbx.request("Atxfer", {"Channel": channel, "Context": "internal", "Exten": rest[1]})


def _pause(pbx: Ami, _channel: str, rest: list[str], *, paused: str = "true") -> None:
    pbx.request("QueuePause", {"Interface": f"PJSIP/{rest[0]}", "Paused": paused, "Reason": "break"})


def _resume(pbx: Ami, channel: str, rest: list[str]) -> None:
    _pause(pbx, channel, rest, paused="false")


def _record(pbx: Ami, channel: str, rest: list[str]) -> None:
    pbx.request("MixMonitor", {"Channel": channel, "File": f"/mnt/spool/on-demand-{rest[0]}.wav", "options": "b"})


def _unrecord(pbx: Ami, channel: str, _rest: list[str]) -> None:
    pbx.request("StopMixMonitor", {"Channel": channel})


_DEEDS: Mapping[str, Deed] = {
    "blind": _blind,
    "attended": _attended,
    "pause": _pause,
    "resume": _resume,
    "record": _record,
    "unrecord": _unrecord,
}


def do(pbx: Ami, deed: str, channel: str, *rest: str) -> None:
    """Do it: `channel` is the PBX's to the telephone that is named first in `rest`."""
    _DEEDS[deed](pbx, channel, list(rest))

"""What the PBX's own records say of one call, read without the product: CEL, Master.csv, queue_log, voicemail, AMI."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.real.asterisk.bench import Bench
from tests.real.asterisk.play import stamp

_CEL = """
    type time name number ani rdnis dnid exten context channel app data flags account uniqueid linkedid peer userfield
    usertype extra
""".split()  # noqa: SIM905 - columns are read as a line
_CDR = """
    account src dst context clid channel dstchannel app data start answer end duration billsec disposition flags
    uniqueid userfield peeraccount linkedid sequence
""".split()  # noqa: SIM905
_REJECTED = 21  # Q.850: call rejected


@dataclass(frozen=True, kw_only=True)
class Witness:
    """One call as the PBX itself wrote it down; ask only after the call was played to its end."""

    bench: Bench
    linkedid: str
    events: Sequence[dict[str, str]]
    """What a manager session received meanwhile."""

    @cached_property
    def cel(self) -> list[dict[str, str]]:
        """The call's rows of the channel event log, in the order of the file."""
        return self._rows(self.bench.cel_csv, _CEL)

    @cached_property
    def cdr(self) -> list[dict[str, str]]:
        """The call's lines of Master.csv."""
        return self._rows(self.bench.master_csv, _CDR)

    @cached_property
    def queue_log(self) -> list[str]:
        """The words of the queue log about this caller, in order."""
        rows = (line.split("|") for line in self.bench.queue_log.read_text(encoding="utf-8").splitlines())
        return [row[4] for row in rows if row[1] == self.linkedid]

    def queue(self) -> str:
        """The queue that the caller entered, or ""."""
        return next((row["data"].split(",")[0] for row in self._cel("APP_START") if row["app"] == "Queue"), "")

    def rang(self) -> list[tuple[str, bool]]:
        """The telephones that were called, in order, and whether each picked up."""
        up = {row["uniqueid"] for row in self._cel("ANSWER")}
        legs = [row for row in self._cel("CHAN_START")[1:] if row["channel"].startswith("PJSIP/2")]
        return [(_extension(row["channel"]), row["uniqueid"] in up) for row in legs]

    def started(self) -> int:
        """When the PBX had the first channel, µs UTC."""
        return _micros(self.cel[0])

    def connected(self) -> int | None:
        """When the first telephone (of the house or outside) that the PBX had called was picked up, µs UTC."""
        people = [row for row in self._cel("ANSWER") if row["uniqueid"] != self.linkedid and "PJSIP/" in row["channel"]]
        return min(map(_micros, people), default=None)

    def ended(self) -> int:
        """When the last channel was gone, µs UTC."""
        return max(map(_micros, self._cel("CHAN_END")))

    def outcome(self) -> str:
        """The outcome, in the words of the truth, from the PBX's own records alone."""
        last = self._end_of_caller()
        if self.connected() is not None:
            return "answered"
        if any(event["Event"] == "MessageWaiting" and event["Linkedid"] == self.linkedid for event in self.events):
            return "voicemail"
        if "ABANDON" in self.queue_log:
            return "abandoned"
        if last["hangupcause"] == _REJECTED:
            return "rejected"
        return {"BUSY": "busy", "CANCEL": "abandoned_ringing", "NOANSWER": "no_answer"}[str(last["dialstatus"])]

    def hung_up(self) -> str:
        """Who ended it: "trunk", an extension, or "dialplan" when the PBX did."""
        source = str(self._end_of_caller()["hangupsource"])
        if not source:  # lost on the way through a Local pair: the telephone's own request tells
            requests = [event["Channel"] for event in self.events if event.get("Event") == "HangupRequest"]
            source = next(channel for channel in requests if channel.startswith("PJSIP/"))
        return source.removeprefix("PJSIP/").replace("/", "-").split("-")[0]

    def transfer(self) -> str:
        """blind, attended or ""."""
        kinds = {"BLINDTRANSFER": "blind", "ATTENDEDTRANSFER": "attended"}
        return next((kinds[row["type"]] for row in self.cel if row["type"] in kinds), "")

    def held(self) -> float:
        """Seconds between Hold and the Unhold of the same channel."""
        since: dict[str, int] = {}
        total = 0
        for event in self.events:
            match event.get("Event"):
                case "Hold":
                    since[event["Uniqueid"]] = stamp(event)
                case "Unhold" if event["Uniqueid"] in since:
                    total += stamp(event) - since.pop(event["Uniqueid"])
        return total / 1e6

    def _cel(self, kind: str) -> list[dict[str, str]]:
        return [row for row in self.cel if row["type"] == kind]

    def _end_of_caller(self) -> dict[str, object]:
        row = next(row for row in self._cel("HANGUP") if row["uniqueid"] == self.linkedid)
        end: dict[str, object] = json.loads(row["extra"])
        return end

    def _rows(self, file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
        with file.open(encoding="utf-8", newline="") as lines:
            return [row for row in csv.DictReader(lines, columns) if row["linkedid"] == self.linkedid]


def _extension(channel: str) -> str:
    return channel.removeprefix("PJSIP/").split("-")[0]


def _micros(row: dict[str, str]) -> int:
    seconds, _, fraction = row["time"].partition(".")
    return int(seconds) * 1_000_000 + int(fraction)

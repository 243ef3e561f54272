"""Exactly one journal entry per call, in a CRM that may throttle, fail, answer late or not at all.

Before a write, what is meant is on the log (INTENT, acknowledged); after it, what is known to have happened: CONFIRMED
with the entry's id, REFUSED, or UNKNOWN. An INTENT or UNKNOWN, of this process or of one that died, is resolved by
reading back from the CRM; the write is sent again only when the entry is not there after `settle_s`.

An entry belongs to the people who work with it: a later revision of the call sets only fields that still read as we
wrote them, and an entry that a person deleted is not made again. A call that turns out to be part of another one
(`merged`) loses its own entry; if a person has edited that, it stays and says what it was merged into.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from schemas.events import Call, CrmWrite
from sinks.crm.connector import Entry, Portal
from sinks.crm.journal import FIELDS, JOURNALED, entry, number_to_look_up
from streams.clients.crm import Gone, Patience, PortalConfig, Unknown, UnknownContact
from streams.runtime import metrics
from streams.runtime.clock import Clock
from streams.runtime.errors import Reject

_OPEN = frozenset({"INTENT", "UNKNOWN"})
_READ_BACK_PAUSE = 0.5


class Log(Protocol):
    """The durable ledger, as far as this process owns it."""

    @property
    def owned_since(self) -> int:
        """Microseconds: nobody else has written since. What is open from before may be the work of a process that died."""
        ...

    def last(self, call_id: str) -> CrmWrite | None:
        """The last record of a call, or None when none is remembered."""
        ...

    def forgotten(self, call: Call) -> bool:
        """Whether the call is so old that the ledger may know it and this process may not."""
        ...

    async def append(self, write: CrmWrite) -> None:
        """Return when the record is acknowledged by the broker, and remembered."""
        ...


class Ledger:
    """Brings the journal of one CRM up to each revision of a call. Never called twice at once for the same call."""

    def __init__(
        self,
        *,
        crm: str,
        portal: Portal,
        log: Log,
        config: PortalConfig,
        clock: Clock,
        rng: random.Random,
        lease: Callable[[], None],
    ) -> None:
        """`lease` is called before every effect, and raises Retry when this process may no longer act."""
        self._crm, self._portal, self._log, self._config, self._clock = crm, portal, log, config, clock
        self._ask, self._lease = Patience(crm, clock, rng, lease).ask, lease

    async def write(self, call: Call) -> CrmWrite | None:
        """Return the settled ledger record of the call, or None when it is nothing for the journal.

        Done means: the journal shows this revision and the ledger says so, or the CRM refused it and the ledger says
        why. Raises Fatal, and what `lease` and the log raise. Waits as long as the CRM cannot be reached.
        """
        known = self._log.last(call.call_id)
        if known and (known.rev > call.rev or (known.rev == call.rev and known.state == "CONFIRMED")):
            return known
        if call.state == "merged":
            return await self._absorb(call, known)
        if call.state not in JOURNALED or (call.direction and call.direction not in self._config.directions):
            return None
        try:
            settled = await self._resolve(call, known)
            done = await (self._update(call, settled) if settled else self._create(call, known))
        except Reject as e:
            refused = self._log.last(call.call_id) or self._record(call, {})
            return await self._append(replace(refused, state="REFUSED", rev=call.rev, reason=str(e), pending={}))
        if call.ended_at and not (known and known.external_id):
            metrics.CRM_JOURNAL.labels(self._crm).observe(max(0, self._clock.now() - call.ended_at) / 1_000_000)
        return done

    async def _resolve(self, call: Call, known: CrmWrite | None) -> CrmWrite | None:
        """What the journal holds for the call: a confirmed record, or None when there is surely nothing."""
        if known and known.state == "CONFIRMED":
            return known
        if known and known.state == "REFUSED":
            return replace(known, state="CONFIRMED") if known.external_id else None
        if known is None and not self._log.forgotten(call):
            return None
        if known and known.external_id:  # an unfinished update: it is compared with the entry field by field
            return known
        if known:
            return await self._read_back(known, since=max(known.at, self._log.owned_since))
        return await self._read_back(self._record(call, dict.fromkeys(FIELDS, "")), since=0)  # what is empty may be set

    async def _read_back(self, doubt: CrmWrite, *, since: int) -> CrmWrite | None:
        """Look for the entry until it is there or, `settle_s` after `since`, cannot come any more.

        A second one is taken away.
        """
        settled_at = since + round(self._config.settle_s * 1_000_000)
        while True:
            found = await self._ask(self._portal.confirm, doubt.call_id)
            if found:
                await self._drop_doubles(found[1:], doubt)
                ours = {k: v for k, v in doubt.pending.items() if found[0].fields.get(k) == v}
                return await self._append(self._confirmed(doubt, found[0].external_id, ours, "read back"))
            wait = (settled_at - self._clock.now()) / 1_000_000
            if wait <= 0:
                return None
            await self._clock.pause(min(wait, _READ_BACK_PAUSE))

    async def _create(self, call: Call, known: CrmWrite | None) -> CrmWrite:
        """Make the entry: INTENT, HTTP, CONFIRMED; in doubt UNKNOWN, and the read-back decides."""
        fields = await self._identified(call)
        intent = self._record(call, fields, attempt=known.attempt if known else 0)
        while True:
            intent = replace(intent, state="INTENT", attempt=intent.attempt + 1, pending=fields, at=self._clock.now())
            await self._append(intent)
            try:
                made = await self._ask(self._portal.put_call, call.call_id, fields)
            except UnknownContact:
                fields = {**fields, "contact_id": ""}  # gone since the call: the number alone remains
                continue
            except Unknown as e:
                doubt = replace(intent, state="UNKNOWN", reason=str(e), at=self._clock.now())
                await self._append(doubt)
                if found := await self._read_back(doubt, since=doubt.at):
                    return await self._update(call, found)
                continue
            if intent.attempt > 1:  # an earlier attempt may have arrived after all
                await self._drop_doubles(await self._others(call.call_id, made), intent)
            return await self._append(self._confirmed(intent, made, fields, ""))

    async def _update(self, call: Call, known: CrmWrite) -> CrmWrite:
        """Bring the entry to this revision, where it still reads as we wrote it. Safe to do again after a crash."""
        wanted = entry(call, self._crm)
        if known.state == "CONFIRMED" and not _differs(wanted, known.written):
            return known
        found = await self._ask(self._portal.confirm, call.call_id)
        there = next((e for e in found if e.external_id == known.external_id), None)
        if there is None:
            return await self._append(self._confirmed(known, known.external_id, {}, "deleted in the CRM", call))
        await self._drop_doubles([e for e in found if e is not there], known)
        ours = {k: there.fields.get(k, "") for k in there.fields if _ours(k, there, known, wanted)}
        patch = {k: v for k, v in wanted.items() if k in ours and ours[k] != v}
        if not patch:
            return await self._append(self._confirmed(known, known.external_id, ours, known.reason, call))
        intent = replace(known, state="INTENT", rev=call.rev, written=ours, pending=patch, at=self._clock.now())
        await self._append(intent)
        try:
            await self._ask(self._portal.patch_call, known.external_id, patch)
        except Gone:
            return await self._append(self._confirmed(intent, known.external_id, {}, "deleted in the CRM", call))
        except UnknownContact:
            patch.pop("contact_id", None)
            await self._ask(self._portal.patch_call, known.external_id, patch)
        return await self._append(self._confirmed(intent, known.external_id, {**ours, **patch}, "", call))

    async def _absorb(self, call: Call, known: CrmWrite | None) -> CrmWrite | None:
        """Take the entry of a call away that is part of another one; what a person edited stays, and says so."""
        settled = await self._resolve(call, known)
        if settled is None:
            return known
        merged = f"merged into {call.merged_into}"
        for there in await self._ask(self._portal.confirm, call.call_id):
            if all(_ours(k, there, settled, {}) for k in there.fields):
                await self._drop(there)
            else:
                mark = {k: merged for k in ("subject", "result") if _ours(k, there, settled, {k: merged})}
                with suppress(Gone):
                    await self._ask(self._portal.patch_call, there.external_id, mark)
        return await self._append(self._confirmed(settled, settled.external_id, {}, merged, call))

    async def _identified(self, call: Call) -> dict[str, str]:
        """The entry's fields; a number that enrichment did not know is looked up once, for the CRM may know it now."""
        fields = entry(call, self._crm)
        if "contact_id" in fields:
            return fields
        number = number_to_look_up(call)
        found = list(await self._ask(self._portal.find_by_phone, number)) if number else []
        alone = len(found) == 1
        return fields | {"contact_id": found[0] if alone else "", "candidates": "" if alone else ", ".join(found)}

    async def _others(self, call_id: str, made: str) -> Sequence[Entry]:
        found = await self._ask(self._portal.confirm, call_id)
        return [e for e in found if e.external_id != made]

    async def _drop_doubles(self, doubles: Sequence[Entry], known: CrmWrite) -> None:
        """Take away entries of the same call that nobody has edited: late effects of a write that was given up."""
        for double in doubles:
            if all(_ours(k, double, known, {}) for k in double.fields):
                await self._drop(double)

    async def _drop(self, there: Entry) -> None:
        with suppress(Gone):
            await self._ask(self._portal.drop_call, there.external_id)

    def _record(self, call: Call, pending: Mapping[str, str], attempt: int = 0) -> CrmWrite:
        return CrmWrite(
            tenant=call.tenant,
            crm=self._crm,
            call_id=call.call_id,
            state="INTENT",
            rev=call.rev,
            contact_id=pending.get("contact_id", ""),
            attempt=attempt,
            call_ended_at=call.ended_at,
            at=self._clock.now(),
            pending=pending,
        )

    def _confirmed(
        self, known: CrmWrite, external_id: str, written: Mapping[str, str], reason: str, call: Call | None = None
    ) -> CrmWrite:
        return replace(
            known,
            state="CONFIRMED",
            rev=call.rev if call else known.rev,
            external_id=external_id,
            contact_id=written.get("contact_id", known.contact_id),
            written=written,
            pending={},
            reason=reason,
            at=self._clock.now(),
        )

    async def _append(self, write: CrmWrite) -> CrmWrite:
        self._lease()  # a process that was frozen must not write over what its successor knows
        await self._log.append(write)
        metrics.CRM_WRITES.labels(self._crm, write.state.lower()).inc()
        return write


def _differs(wanted: Mapping[str, str], written: Mapping[str, str]) -> bool:
    """Whether a field that is still ours reads otherwise than it should."""
    return any(k in written and written[k] != v for k, v in wanted.items())


def _ours(field: str, there: Entry, known: CrmWrite, wanted: Mapping[str, str]) -> bool:
    """Whether the field reads as we wrote it, were about to write it, or want it: then no person has edited it."""
    values = (known.written.get(field), known.pending.get(field), wanted.get(field))
    return there.fields.get(field, "") in values

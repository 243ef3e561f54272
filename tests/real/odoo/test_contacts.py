"""The contacts of a real Odoo: everything that people do to them arrives, and a late commit is not lost."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from producers.crm.feed import ContactFeed
from producers.crm.odoo import OdooContacts
from producers.crm.topic import Position
from streams.clients.odoo import Config, connect
from streams.runtime.clock import SystemClock
from tests.producers.crm.fakes import FakeTopic
from tests.real.odoo.instance import LOGIN, PASSWORD, Instance

pytestmark = [pytest.mark.real, pytest.mark.enable_socket, pytest.mark.timeout(600)]
CLOCK = SystemClock()
PARTNER = "res.partner"


class Desk:
    """A feed on the real Odoo that looks after each deed; `said` is what the topic has of our contacts by then."""

    def __init__(self, odoo: Instance, *, sweep_s: float) -> None:
        self.odoo, self.topic, self.said = odoo, FakeTopic(), list[dict[str, tuple[str, ...]]]()
        self.config = Config(
            url=odoo.url, database="crm", login=LOGIN, password=SecretStr(PASSWORD), ids_s=0, sweep_s=sweep_s
        )
        self.mine: set[str] = set()

    def create(self, **values: str) -> int:
        made: int = self.odoo.admin(PARTNER, "create", values)
        self.mine.add(str(made))
        return made

    def play(self, *deeds: Callable[[], object]) -> None:
        """Do each in turn, and let the feed look."""
        asyncio.run(self._play(deeds))

    async def _play(self, deeds: tuple[Callable[[], object], ...]) -> None:
        async with connect(self.config, CLOCK, rate=100) as client:
            contacts = OdooContacts(client, self.config, CLOCK)
            feed = ContactFeed("crm", "acme", contacts, self.topic, self.config, clock=CLOCK)
            position = Position(token=(await contacts.mark()).token)
            for deed in deeds:
                await asyncio.to_thread(deed)
                position = await feed.turn(position)
                here = sorted(self.mine & self.topic.says.keys())
                self.said.append({self.topic.says[i].name: self.topic.says[i].numbers for i in here})


def test_created_edited_archived_merged_and_deleted_arrive(odoo: Instance) -> None:
    """Each at the next look, in E.164, whether or not Odoo tells of it."""
    desk = Desk(odoo, sweep_s=3600)
    ids: list[int] = []

    def merge() -> None:
        double = {"partner_ids": [[6, 0, ids[1:]]], "dst_partner_id": ids[1]}
        wizard = odoo.admin("base.partner.merge.automatic.wizard", "create", double)
        odoo.admin("base.partner.merge.automatic.wizard", "action_merge", [wizard])

    desk.play(
        lambda: ids.append(desk.create(name="Ada", phone="02 555 12 34", mobile="0470/12.34.99")),
        lambda: ids.extend([desk.create(name="Bea"), desk.create(name="Bea's double")]),
        lambda: odoo.admin(PARTNER, "write", [ids[0]], {"name": "Ada L.", "mobile": False}),
        lambda: odoo.admin(PARTNER, "write", [ids[0]], {"active": False}),
        lambda: odoo.admin(PARTNER, "write", [ids[0]], {"active": True}),
        merge,
        lambda: odoo.admin(PARTNER, "unlink", [ids[0]]),
    )
    ada = {"Ada L.": ("+3225551234",)}
    assert desk.said == [
        {"Ada": ("+3225551234", "+32470123499")},
        {"Ada": ("+3225551234", "+32470123499"), "Bea": (), "Bea's double": ()},
        {**ada, "Bea": (), "Bea's double": ()},
        {"Bea": (), "Bea's double": ()},
        {**ada, "Bea": (), "Bea's double": ()},
        {**ada, "Bea": ()},
        {"Bea": ()},
    ]


@contextmanager
def transaction(odoo: Instance) -> Iterator[Callable[[str], None]]:
    """A long one, open until it says COMMIT; each statement is done when the call returns."""
    psql = ["chroot", str(odoo.folder), "/usr/lib/postgresql/13/bin/psql", "-qAt", "-h", "127.0.0.1"]
    command = [*psql, "-p", str(odoo.database_port), "-U", "odoo", "crm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as session:
        assert session.stdin
        assert session.stdout

        def do(statement: str) -> None:
            assert session.stdin
            assert session.stdout
            session.stdin.write(f"{statement};\nselect 'done';\n")
            assert session.stdout.readline() == "done\n"

        yield do
        session.stdin.close()


@pytest.mark.parametrize("sweep_s", [3600, 0], ids=["cursor alone", "with the sweep"])
def test_a_transaction_that_commits_late_is_not_lost(odoo: Instance, sweep_s: float) -> None:
    """It is written with the second it began in, and shows when the cursor is past that: only the sweep sees it."""
    desk = Desk(odoo, sweep_s=sweep_s)
    late = desk.create(name="there")
    CLOCK.sleep(1.1)
    with transaction(odoo) as do:

        def commit() -> None:
            CLOCK.sleep(1.1)
            do("commit")

        desk.play(
            lambda: do(
                "begin; update res_partner set name = 'late', write_date = now() at time zone 'UTC'"  # as Odoo itself does
                f" where id = {late}"
            ),
            lambda: (CLOCK.sleep(1.1), desk.create(name="quick")),
            commit,
        )
    names = [set(said) for said in desk.said]
    assert names[:2] == [{"there"}, {"there", "quick"}]
    assert names[2] == ({"there", "quick"} if sweep_s else {"late", "quick"})

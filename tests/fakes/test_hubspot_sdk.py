"""The account in memory judged by HubSpot's own client: it is asked as that client asks, and answers as it understands."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import hubspot
import pytest

from streams.runtime.clock import ManualClock
from tests.fakes.hubspot import HubSpot

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]
TO_CONTACT = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}


class Account:
    """A fake on the loopback, and HubSpot's client of it."""

    def __init__(self, fake: HubSpot, port: int) -> None:
        self.fake = fake
        self.crm = hubspot.HubSpot(access_token="key", host=f"http://127.0.0.1:{port}").crm

    def call(self, call_id: str, contact_id: str = "", **properties: str) -> dict[str, Any]:
        to = [{"to": {"id": contact_id}, "types": [TO_CONTACT]}] if contact_id else []
        return {"properties": {"k": call_id, **properties}, "associations": to, "objectWriteTraceId": call_id}


@pytest.fixture
def account() -> Iterator[Account]:
    """An account with one unique property of calls."""
    fake = HubSpot("key", ManualClock())

    class Door(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            url = f"http://hubspot.test{self.path}"
            told = fake.answer(httpx.Request(self.command, url, headers=dict(self.headers), content=body))
            self.send_response(told.status_code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told.content)))
            self.end_headers()
            self.wfile.write(told.content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - as http.server names them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            made = Account(fake, server.server_address[1])
            made.crm.properties.groups_api.create("calls", {"name": "ours", "label": "Ours"})
            made.crm.properties.core_api.create("calls", property_of_calls("k", unique=True))
            yield made
        finally:
            server.shutdown()
            thread.join(5)


def property_of_calls(name: str, *, unique: bool) -> dict[str, Any]:
    kind = {"groupName": "ours", "type": "string", "fieldType": "text", "hasUniqueValue": unique}
    return {"name": name, "label": name.upper(), **kind}


def refused(status: int) -> Any:
    """Its client raises a class for each API; all of them tell the status."""

    class Refused:
        def __enter__(self) -> None:
            pass

        def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
            assert getattr(error, "status", None) == status
            return True

    return Refused()


def test_properties_of_calls(account: Account) -> None:
    """Listed with whether they are unique; none twice, none in a group that is not there."""
    core = account.crm.properties.core_api
    there = {p.name: p.has_unique_value for p in core.get_all("calls").results}
    assert (there["k"], there["hs_call_title"]) == (True, False)
    with refused(409):
        core.create("calls", property_of_calls("k", unique=True))
    with refused(400):
        core.create("calls", property_of_calls("x", unique=False) | {"groupName": "none"})
    with refused(409):
        account.crm.properties.groups_api.create("calls", {"name": "ours", "label": "Ours"})


def test_a_batch_of_calls_in_part(account: Account) -> None:
    """Made, refused as double, refused for its contact, refused for its property: each told by its trace."""
    calls, contact = account.crm.objects.calls, account.fake.contact("Zoë")
    first = calls.batch_api.create({"inputs": [account.call("1", contact, hs_call_title="a"), account.call("2")]})
    assert [made.properties["k"] for made in first.results] == ["1", "2"]
    assert not hasattr(first, "num_errors")
    inputs = [account.call("1"), account.call("3"), account.call("4", "99"), account.call("5", none="x")]
    told = calls.batch_api.create({"inputs": inputs})
    assert [made.properties["k"] for made in told.results] == ["3"]
    assert [error.context["objectWriteTraceId"] for error in told.errors] == [["1"], ["4"], ["5"]]
    assert (told.num_errors, {error.category for error in told.errors}) == (
        3,
        {"VALIDATION_ERROR", "OBJECT_NOT_FOUND"},
    )
    with refused(400):
        calls.batch_api.create({"inputs": [account.call(str(n)) for n in range(101)]})


def test_a_call_by_its_unique_property(account: Account) -> None:
    """Read with its contacts, patched, cleared, deleted; then it is not there, and its value is free again."""
    calls, contact = account.crm.objects.calls, account.fake.contact("Zoë")
    calls.batch_api.create({"inputs": [account.call("a:1", contact, hs_call_title="a")]})
    found = calls.basic_api.get_by_id("a:1", id_property="k", properties=["k"], associations=["contacts"])
    assert [linked.id for linked in found.associations["contacts"].results] == [contact]
    patched = calls.basic_api.update("a:1", {"properties": {"hs_call_title": ""}}, id_property="k")
    assert (patched.id, patched.properties["hs_call_title"]) == (found.id, None)
    calls.basic_api.archive(found.id)
    with refused(404):
        calls.basic_api.get_by_id("a:1", id_property="k")
    with refused(404):
        calls.basic_api.update("a:1", {"properties": {}}, id_property="k")
    calls.basic_api.archive(found.id)  # says the same again
    assert calls.batch_api.create({"inputs": [account.call("a:1")]}).results[0].id != found.id


def test_a_call_moves_between_contacts(account: Account) -> None:
    """By the default association, which may be made twice, and taken away twice."""
    calls, links = account.crm.objects.calls, account.crm.associations.v4.basic_api
    one, other = account.fake.contact("one"), account.fake.contact("other")
    made = calls.batch_api.create({"inputs": [account.call("1", one)]}).results[0].id
    for _ in range(2):
        assert links.create_default("calls", made, "contacts", other).status == "COMPLETE"
    for _ in range(2):
        links.archive("calls", made, "contacts", one)
    linked = calls.basic_api.get_by_id(made, associations=["contacts"]).associations["contacts"].results
    assert [contact.id for contact in linked] == [other]
    with refused(404):
        links.create_default("calls", made, "contacts", "99")


def test_contacts_as_people_have_them(account: Account) -> None:
    """Created, edited, merged, archived, erased; listed by pages, and read in a batch."""
    api, batch = account.crm.contacts.basic_api, account.crm.contacts.batch_api
    ids = [api.create({"properties": {"firstname": name}}).id for name in "abcde"]
    assert api.update(ids[0], {"properties": {"phone": "1"}}).properties["phone"] == "1"
    api.merge({"objectIdToMerge": ids[1], "primaryObjectId": ids[0]})
    assert api.get_by_id(ids[1]).id == ids[0]
    api.archive(ids[2])
    api.purge({"objectId": ids[3]})
    page = api.get_page(limit=1)
    assert [contact.id for contact in page.results] == [ids[0]]
    rest = api.get_page(limit=1, after=page.paging.next.after)
    assert ([contact.id for contact in rest.results], rest.paging) == ([ids[4]], None)
    assert [contact.id for contact in api.get_page(archived=True).results] == [ids[2]]
    wanted = {"inputs": [{"id": i} for i in ids], "properties": ["firstname"], "propertiesWithHistory": []}
    assert [contact.id for contact in batch.read(wanted).results] == [ids[0], ids[4]]


def test_a_search_that_is_behind(account: Account) -> None:
    """Filters of a group must all hold, one group of several; sorted, paged, and as old as the lag."""
    search = account.crm.contacts.search_api.do_search
    ids = [account.fake.contact(name, phone=f"+33 1 23 45 67 8{name}") for name in "012"]
    account.fake.lag = 60
    account.fake.change(ids[0], phone="")
    account.fake.contact("3")
    newest = {"sorts": [{"propertyName": "hs_object_id", "direction": "DESCENDING"}], "limit": 2}
    first = search(newest)
    assert (first.total, [found.id for found in first.results]) == (3, [ids[2], ids[1]])
    assert [found.id for found in search(newest | {"after": first.paging.next.after}).results] == [ids[0]]
    by_number = {"propertyName": "hs_searchable_calculated_phone_number", "operator": "CONTAINS_TOKEN"}
    groups = [{"filters": [by_number | {"value": f"*2345678{n}"}]} for n in "01"]
    groups[1]["filters"].append({"propertyName": "hs_object_id", "operator": "GT", "value": ids[1]})
    assert [found.id for found in search({"filterGroups": groups}).results] == [ids[0]]
    with refused(400):
        search({"limit": 201})


def test_what_is_too_much_is_refused(account: Account) -> None:
    """Four searches a second, 190 requests in ten; a client with another token is refused at once."""
    search = account.crm.contacts.search_api.do_search
    for _ in range(4):
        search({})
    with refused(429):
        search({})
    stranger = hubspot.HubSpot(access_token="x", host=account.crm.contacts.basic_api.api_client.configuration.host)
    with refused(401):
        stranger.crm.contacts.basic_api.get_page()
    assert account.fake.breaches == 1

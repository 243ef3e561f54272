"""A CRM as a TOML file: which requests there are, where their results stand, and what each error asks for.

Every key is explained at its field; CONTRIBUTING has a whole example. A file that cannot work is told with its key.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from streams.clients.rest.requests import Method, Request, Search, Table, known_names

JournalField = Literal[
    "contact_id",
    "subject",
    "direction",
    "started_at",
    "duration",
    "customer_number",
    "customer_name",
    "participants",
    "result",
    "queue",
    "did",
    "recording",
    "candidates",
    "notes",
]
"""Our names of what an entry of the journal says (`sinks.crm.journal`)."""
TimeFormat = Literal["rfc3339", "unix", "unix_ms"]
Status = Annotated[str, BeforeValidator(str), Field(pattern=r"^[1-5](xx|\d\d)$")]


class Find(Search):
    """Contacts by number: {number} is E.164, {digits} the same without +, {national} without the country's code too."""

    numbers: tuple[str, ...] = ()
    """Paths of an item's numbers, which are compared with the one wanted; empty: the CRM's own search is exact."""


class Put(Request):
    """Make an entry: {call_id} and every field of the journal by our name."""

    id: str = "id"
    """Path of the new entry's id in the answer."""


class Column(Table):
    """A field of the journal in the CRM; a text alone is short for `to`."""

    to: str = Field(min_length=1)
    """Path of the field in what is sent."""
    read: str = ""
    """Path of the field in an entry that is read; empty: the same."""
    type: Literal["text", "integer", "time"] = "text"
    """What it is over there; integers and times are null where we have nothing."""
    time: TimeFormat = "rfc3339"
    """How a time is written."""
    values: dict[str, str] = Field(default={})
    """Their word for each of ours, where they differ; no two the same."""
    null: bool = False
    """Whether an empty text is sent as null."""

    @model_validator(mode="after")
    def _both_ways(self) -> Self:
        if len(set(self.values.values())) < len(self.values):
            raise ValueError("values: two of ours have one word of theirs, and could not be told apart when read")
        return self


ColumnOrText = Annotated[Column, BeforeValidator(lambda given: {"to": given} if isinstance(given, str) else given)]


class Journal(Table):
    """The call journal."""

    find: Find
    put: Put
    patch: Request
    """Change the entry {external_id}: the fields that changed are put into the body."""
    drop: Request
    """Take the entry {external_id} away."""
    confirm: Search
    """The entries of {call_id}. Where the CRM has no field for it, write it into a text and look for it with `contains`."""
    fields: dict[JournalField, ColumnOrText] = Field(min_length=1)
    """What is kept up to date, by our name; what is not named here is written by `put.body` only, or not at all."""
    inside: str = ""
    """Path of the table in the body, and in an entry, that holds the fields; empty: at the top."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        entry = {"call_id", *JournalField.__args__}  # type: ignore[attr-defined]
        known_names("find", self.find, {"number", "digits", "national", "cursor"})
        known_names("put", self.put, entry)
        known_names("patch", self.patch, {"external_id"}, needs="external_id")
        known_names("drop", self.drop, {"external_id"}, needs="external_id")
        known_names("confirm", self.confirm, {"call_id", "cursor"}, needs="call_id")
        return self


class Changes(Request):
    """What changed behind {token}."""

    updated: str
    """Path of the list of contacts, each as it is now."""
    gone: str
    """Path of the ids of those that are no more, such as gone[].id."""
    token: str
    """Path of the next token."""
    more: str
    """Path of whether there is more at once."""


class Mark(Request):
    """The end of the change feed as of now."""

    token: str
    """Path of the token."""
    time: str
    """Path of the CRM's clock."""


class Get(Request):
    """The contact {contact_id}."""

    item: str = ""
    """Path of the contact in the answer; empty: the answer is the contact."""


class Scan(Search):
    """All contacts, or those changed at or after {since}; without {since} each look reads everything."""

    time: TimeFormat = "rfc3339"
    """How {since} is written."""


PathOrPaths = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]


class ContactFields(Table):
    """Paths in a contact."""

    name: tuple[str, ...]
    """Joined by a blank."""
    numbers: tuple[str, ...]
    """Of all its numbers, such as phones[].value."""
    updated_at: PathOrPaths
    """RFC 3339, or a number of seconds or milliseconds; of several the first that has a value, for some CRMs say null
    until the first change."""
    id: str = "id"
    kind: str = ""
    """person or company; empty: person."""
    company_id: str = ""
    owner: str = ""
    priority: str = ""
    segment: str = ""


class Contacts(Table):
    """The contact feed. Without `mark` and `changes` it is what the scans find, `sweep_s` apart."""

    fields: ContactFields
    scan: Scan
    get: Get
    mark: Mark | None = None
    changes: Changes | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if (self.mark is None) != (self.changes is None):
            raise ValueError("mark and changes come together, or not at all")
        known_names("scan", self.scan, {"cursor", "since"})
        known_names("get", self.get, {"contact_id"}, needs="contact_id")
        if self.mark and self.changes:
            known_names("mark", self.mark, set())
            known_names("changes", self.changes, {"token"}, needs="token")
        return self


class Auth(Table):
    """How the `token` of the section is shown."""

    scheme: Literal["bearer", "basic", "header"] = "bearer"
    """bearer; basic (the token is user:password); header: as it is, in `header`."""
    header: str = Field(default="authorization", pattern=r"^[A-Za-z0-9-]+$")


class Rule(Table):
    """What an answer asks for. All that is given must fit; the first rule that fits counts."""

    status: tuple[Status, ...] = ()
    """Statuses such as 429 or "5xx"."""
    method: tuple[Method, ...] = ()
    """Of the request, where the same answer means one thing when an entry is made and another when it is changed."""
    code: tuple[str, ...] = ()
    """Error codes, as they stand at `code`."""
    header: dict[str, str] = Field(default={})
    """Headers and what they must read."""
    then: Literal["ok", "empty", "retry", "unknown", "reject", "gone", "unknown_contact", "expired", "fatal"]
    """ok: an answer like any other; empty: a list with nothing in it; retry: nothing was done; unknown: it may have been; reject: never with this data;
    gone: what is meant is not there; unknown_contact: the entry's contact is not; expired: the change feed begins
    later; fatal: a person is needed."""
    after: float | None = Field(default=None, ge=0)
    """Seconds until the next try, where no Retry-After says it."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.status or self.code or self.header):
            raise ValueError("a rule without status, code or header would fit every answer")
        return self


class Mapping(Table):
    """The whole file."""

    auth: Auth = Auth()
    headers: dict[str, str] = Field(default={})
    """Sent with every request."""
    code: str = ""
    """Path of the error code in an answer, where the CRM has one, also inside a 200."""
    errors: tuple[Rule, ...] = ()
    """Rules in order. Then: 5xx and what is not JSON is unknown; any other code, and any status but 2xx, a reject."""
    journal: Journal
    contacts: Contacts | None = None

    @model_validator(mode="after")
    def _codes(self) -> Self:
        if not self.code and any(rule.code for rule in self.errors):
            raise ValueError("errors: a rule goes by a code, and `code` does not say where it stands")
        return self

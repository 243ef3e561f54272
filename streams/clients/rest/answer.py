"""What an answer asks for, by the mapping's rules: its status, its error code, its headers; never by a message."""

import re
from typing import Any

import httpx

from streams.clients.crm import Expired, Gone, UnknownContact
from streams.clients.exchange import doubt, retry_after
from streams.clients.rest import template
from streams.clients.rest.mapping import Mapping, Rule
from streams.runtime.errors import Fatal, Reject, Retry

_DONE = range(200, 300)
_BROKEN = range(500, 600)
_CODE = re.compile(r"[A-Za-z_][A-Za-z_. -]{0,59}|\d{1,4}")
"""A code that may be told: no number of a person fits in."""
_PLAIN: dict[str, type[Exception]] = {
    "reject": Reject,
    "gone": Gone,
    "unknown_contact": UnknownContact,
    "expired": Expired,
}


def classify(answer: httpx.Response, mapping: Mapping, *, method: str, repeatable: bool) -> Any:
    """The answer's JSON (None without a body), or what to do instead.

    Raises Retry (nothing was done), Reject (never with this data), UnknownContact, Gone, Expired, Fatal (a person is
    needed), and Unknown where a request that is not `repeatable` may have been done or not.
    """
    readable, body = True, None
    try:
        body = answer.json() if answer.content else None
    except ValueError:
        readable = False
    code = _code(body, mapping.code)
    said = f"{answer.status_code}{f' {_shown(code)}' if code else ''}"
    told = f"the CRM answered {said}"
    for rule in mapping.errors:
        if _fits(rule, method, answer, code):
            if rule.then in {"ok", "empty"}:
                return body if rule.then == "ok" else []
            raise _asked(rule, told, answer, repeatable=repeatable)
    if answer.status_code in _BROKEN or not readable:
        raise doubt(told if readable else f"{told} without JSON", repeatable=repeatable)
    if code:  # also inside a 200
        raise Reject(f"the CRM refused it: {said}")
    if answer.status_code not in _DONE:
        raise Reject(told)
    return body


def _code(body: Any, where: str) -> str:
    found = template.first(body, where) if where else None
    return "" if found is None or isinstance(found, dict | list) else str(found)


def _shown(code: str) -> str:
    return code if _CODE.fullmatch(code) else "with a code"


def _fits(rule: Rule, method: str, answer: httpx.Response, code: str) -> bool:
    status = str(answer.status_code)
    return (
        (not rule.status or status in rule.status or f"{status[0]}xx" in rule.status)
        and (not rule.method or method in rule.method)
        and (not rule.code or code in rule.code)
        and all(answer.headers.get(name) == value for name, value in rule.header.items())
    )


def _asked(rule: Rule, told: str, answer: httpx.Response, *, repeatable: bool) -> Exception:
    match rule.then:
        case "retry":
            return Retry(told, after=retry_after(answer, rule.after))
        case "unknown":
            return doubt(told, repeatable=repeatable)
        case "fatal":
            return Fatal(f"{told}: check `token` or `token_file` of this CRM, and the rights that go with it")
        case verdict:
            return _PLAIN[verdict](told)

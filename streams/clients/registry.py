"""A Confluent-compatible schema registry: our schemas under our own numbers, and proof that it really took them.

Confluent's registry takes a number in IMPORT mode. Apicurio answers 200 there and ignores the number, so what it says is
not believed: the number is read back, and where it is another one, Apicurio's own import brings the text under its number (a
zip of its export layout, `POST /apis/registry/v3/admin/import`), and the version that is registered then finds it there.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import httpx

from streams.runtime.errors import Fatal, Retry

_JSON = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
_NATIVE = "/apis/registry/v3"
_COMPAT = "/apis/ccompat/"
_NOT_FOUND = 404
_SERVER_ERROR = 500
_REFUSED = (401, 403)
_THROTTLED = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One version of one subject and the number it must have."""

    subject: str
    version: int
    number: int
    text: str


class Registry:
    """A registry at a base address such as http://host:8081, or http://host:8080/apis/ccompat/v7 for Apicurio."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self._url = url.rstrip("/")
        self._http = http

    def push(self, wanted: Iterable[Registration], now: int) -> list[str]:
        """Register what is missing under its own numbers; returns a line per subject.

        Raises Fatal when a number is taken by another schema, or the registry does not keep numbers; Retry when it is
        away. `now` is in µs.
        """
        missing = [r for r in wanted if not self._holds(r)]
        for registration in missing:
            self._import_mode(registration)
        ignored = [r for r in missing if not self._holds(r)]
        if ignored and _COMPAT in self._url:
            self._import_natively(ignored, now)
            ignored = [r for r in ignored if not self._holds(r)]
        if ignored:
            names = ", ".join(f"{r.subject} ({r.number})" for r in ignored)
            raise Fatal(f"the registry gave other numbers than asked for: {names}; use one that supports IMPORT mode")
        return [f"{r.subject}: version {r.version} is number {r.number}" for r in missing]

    def _holds(self, wanted: Registration) -> bool:
        """Whether number and subject both lead to this very schema; Fatal when the number is somebody else's."""
        answer = self._call("GET", f"/schemas/ids/{wanted.number}")
        if answer.status_code == _NOT_FOUND:
            return False
        try:
            schema = _canonical(answer.json()["schema"])
        except (ValueError, KeyError, TypeError):
            raise Fatal(
                f"{self._url} is no schema registry: it answers {answer.status_code}; check the address"
            ) from None
        if schema != _canonical(wanted.text):
            raise Fatal(
                f"number {wanted.number} is another schema in this registry; use an empty one or another context"
            )
        found = self._call("POST", f"/subjects/{wanted.subject}", {"schema": wanted.text})
        return found.is_success and found.json().get("id") == wanted.number

    def _import_mode(self, wanted: Registration) -> None:
        """Confluent's way: the subject in IMPORT mode, the version with its number, the mode back."""
        self._call("PUT", f"/mode/{wanted.subject}?force=true", {"mode": "IMPORT"})
        body = {"schema": wanted.text, "id": wanted.number, "version": wanted.version}
        if _COMPAT not in self._url:  # there it would be taken under another number, and stay
            self._call("POST", f"/subjects/{wanted.subject}/versions", body)
        self._call("DELETE", f"/mode/{wanted.subject}")
        self._call("PUT", f"/config/{wanted.subject}", {"compatibility": "FULL_TRANSITIVE"})

    def _import_natively(self, wanted: list[Registration], now: int) -> None:
        # Its ccompat numbers are content ids. A version that is imported does not become a subject's latest, so only the
        # content is, and the versions are registered.
        base = self._url.split(_COMPAT)[0] + _NATIVE
        headers = {"Content-Type": "application/zip", "X-Registry-Preserve-ContentId": "true"}
        try:
            answer = self._http.post(
                f"{base}/admin/import?requireEmptyRegistry=false", content=export(wanted, now // 1000), headers=headers
            )
            if not answer.is_success:
                raise Fatal(f"the registry refused the import: {answer.status_code} {answer.text[:200]}")
            for r in sorted(wanted, key=attrgetter("version")):
                if self._http.get(f"{base}/ids/contentIds/{r.number}").is_success:
                    self._call("POST", f"/subjects/{r.subject}/versions", {"schema": r.text})
        except httpx.TransportError as e:
            raise Retry(f"no registry at {base}: {type(e).__name__}") from e

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = self._http.request(method, self._url + path, json=body, headers=_JSON)
        except httpx.TransportError as e:
            raise Retry(f"no registry at {self._url}: {type(e).__name__}") from e
        if answer.status_code in _REFUSED:
            raise Fatal(
                "the registry does not let us in: check TRUNKLINE_REGISTRY_USER and TRUNKLINE_REGISTRY_PASSWORD"
            )
        if answer.status_code >= _SERVER_ERROR or answer.status_code == _THROTTLED:
            raise Retry(f"the registry answers {answer.status_code}")
        return answer


def export(wanted: Iterable[Registration], at_ms: int) -> bytes:
    """The texts under their numbers as Apicurio 3's export: content files beside a manifest."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest-x.Manifest.json", json.dumps(_manifest(at_ms)))
        for number, text in {r.number: r.text for r in wanted}.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            content = {"contentId": number, "canonicalHash": digest, "contentHash": digest}
            content |= {"artifactType": "AVRO", "contentType": "application/json", "serializedReferences": None}
            archive.writestr(f"content/{digest}.Content.json", json.dumps(content))
            archive.writestr(f"content/{digest}.Content.data", text)
    return out.getvalue()


def _manifest(at_ms: int) -> dict[str, Any]:
    system = {"systemVersion": "3.3.3", "systemName": "trunkline", "systemDescription": "trunkline"}
    return {**system, "exportVersion": "3.0", "exportedOn": at_ms, "exportedBy": "", "dbVersion": "109"}


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)

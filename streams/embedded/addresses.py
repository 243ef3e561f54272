"""Where the embedded parts of a set-up listen, and the secrets they share: made once, kept in its data directory."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from streams.embedded.process import LOOPBACK, free_port
from streams.runtime.config import Crm, Settings
from streams.runtime.errors import Fatal

SANDBOX_PORT = 8069


def embedded_crms(settings: Settings) -> list[str]:
    """Names of the CRMs that are the sandbox, without an address of their own."""
    return [n for n, c in settings.crm.items() if c.connector == "sandbox" and not (c.model_extra or {}).get("url")]


def resolved(settings: Settings) -> Settings:
    """The settings with every empty address filled by the embedded part's, and its secret beside it."""
    changes: dict[str, Any] = {}
    if not settings.kafka.bootstrap:
        port = _port(settings, "kafka", settings.kafka.port)
        changes["kafka"] = settings.kafka.model_copy(update={"bootstrap": f"{LOOPBACK}:{port}", "port": port})
    if not settings.clickhouse.url:
        port = _port(settings, "clickhouse", settings.clickhouse.port)
        filled = {"url": f"http://{LOOPBACK}:{port}", "port": port, "password": secret(settings, "clickhouse")}
        changes["clickhouse"] = settings.clickhouse.model_copy(update=filled)
    if names := embedded_crms(settings):
        crm = dict(settings.crm)
        for name in names:
            own = dict(crm[name].model_extra or {})
            port = _port(settings, f"crm.{name}", _number(f"crm.{name}.port", own.get("port", SANDBOX_PORT)))
            own |= {"port": port, "url": f"http://{LOOPBACK}:{port}", "token": secret(settings, f"crm.{name}")}
            crm[name] = Crm(connector=crm[name].connector, **own)
        changes["crm"] = crm
    return settings.model_copy(update=changes)


def secret(settings: Settings, part: str) -> SecretStr:
    """The secret of an embedded part: random, in a file that only its owner reads."""
    file = settings.data_dir / "secrets" / part
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = file.with_name(f"{part}.{secrets.token_hex(8)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24), encoding="ascii")
        try:
            os.link(fresh, file)  # the first one wins, whoever looks at the same time
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return SecretStr(file.read_text(encoding="ascii"))


def _port(settings: Settings, part: str, wanted: int) -> int:
    """The port of a part; 0 means a free one, chosen once, so that clients find it again after a restart."""
    if wanted:
        return wanted
    file = settings.data_dir / "ports.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:  # closing it lets the next one in
        fcntl.flock(lock, fcntl.LOCK_EX)
        ports: dict[str, int] = json.loads(file.read_text(encoding="ascii")) if file.exists() else {}
        while part not in ports:
            port = free_port()
            if port not in ports.values():  # nobody listens on those yet
                ports[part] = port
                _replace(file, json.dumps(ports, indent=1))
        return ports[part]


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(text, encoding="ascii")
    fresh.replace(file)


def _number(key: str, given: Any) -> int:
    try:
        return TypeAdapter(Annotated[int, Field(ge=0, le=65535)]).validate_python(given)
    except ValidationError:
        raise Fatal(f"{key}: {given!r} is no port; give a number below 65536, or 0 for any free one") from None

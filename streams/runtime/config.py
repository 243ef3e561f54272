"""Settings: one TOML file, environment over it, secrets from the environment or from files.

`TRUNKLINE_KAFKA__BOOTSTRAP=host:9092` overrides `bootstrap` in `[kafka]`; `TRUNKLINE_PBX__MAIN__SECRET` the `secret` of
`[pbx.main]`. A secret never stands in the TOML file: `secret_file = "/run/secrets/pbx"` names a file that holds it.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from streams.runtime.errors import Fatal
from streams.runtime.validation import PREFIX, SECRETS, validated, way_in

C = TypeVar("C")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(_Section):
    bootstrap: str = ""
    """Brokers as host:port,host:port; empty: the embedded Apache Kafka on the loopback."""
    security_protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: str = ""
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with a SASL protocol."""
    sasl_username: str = ""
    """User of SASL."""
    sasl_password: SecretStr = SecretStr("")
    """Password of SASL."""
    ca_file: str = ""
    """CA certificates of the brokers; empty: the system's."""
    replication: int = Field(default=1, ge=1)
    """Replicas of each topic that `topics apply` creates."""
    topic_prefix: str = ""
    """Put before every topic, group and transactional id, where several set-ups share a cluster."""
    heap_mb: int = Field(default=512, ge=256)
    """Heap of the embedded broker in MiB."""
    port: int = Field(default=9092, ge=0, le=65535)
    """Port of the embedded broker on the loopback; 0: any free one."""

    def name(self, name: str) -> str:
        """A topic, group or transactional id as this set-up's cluster knows it."""
        return self.topic_prefix + name


class ClickHouse(_Section):
    url: str = ""
    """http(s)://host:port of the server; empty: the embedded engine on the loopback."""
    database: str = Field(default="trunkline", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Database that the tables are made in."""
    user: str = "default"
    """User of the server."""
    password: SecretStr = SecretStr("")
    """Password of the server."""
    port: int = Field(default=8123, ge=0, le=65535)
    """Port of the embedded engine on the loopback; 0: any free one."""
    batch_rows: int = Field(default=100_000, ge=1, le=1_000_000)
    """Most rows of one insert."""
    batch_seconds: float = Field(default=0.5, gt=0)
    """Longest wait for a batch to fill."""


class Enrich(_Section):
    workers: int = Field(default=1, ge=1)
    """Processes that `up` starts."""
    seen_events: int = Field(default=2_000_000, ge=1000)
    """Event ids remembered per partition against duplicates (about 98 bytes each)."""
    window_seconds: float = Field(default=3600, gt=0)
    """How far back a new owner of a partition reads what was already written."""


class Fold(_Section):
    workers: int = Field(default=1, ge=1)
    """Processes that `up` starts."""
    grace_seconds: float = Field(default=2.0, gt=0)
    """Wait after the last leg before a call is final: as long as an event may come late, by the PBX's clock and by ours."""
    records_grace_seconds: float = Field(default=15.0, gt=0)
    """The same where only records (CEL, CDR, queue_log) tell of a call, and before late ones complete it: rows come one by one."""
    amend_seconds: float = Field(default=86_400, gt=0)
    """How long a finished call can still be amended by a late fact."""
    amend_mb: int = Field(default=256, ge=1)
    """Most memory of finished calls per partition in MiB."""
    short_abandon_seconds: float = Field(default=5.0, ge=0)
    """A caller who leaves a queue sooner is a short abandon."""
    call_events: int = Field(default=5000, ge=100)
    """What an open call may hold, in events; a longer one lets go of attempts that came to nothing, and is flagged truncated."""
    ghost_hours: float = Field(default=6.0, gt=0)
    """A leg without any event for so long is closed, flagged as estimated."""


class Agents(_Section):
    workers: int = Field(default=1, ge=0)
    """Processes that `up` starts; 0: no agents' states."""
    wrapup_seconds: float = Field(default=0.0, ge=0)
    """Wrap-up after a call of a queue, where neither the next key nor the PBX tells one."""
    queue_wrapup_seconds: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Wrap-up by queue, as its wrapuptime in queues.conf: Asterisk tells only what a member has of its own."""


class Streams(_Section):
    enrich: Enrich = Enrich()
    fold: Fold = Fold()
    agents: Agents = Agents()


class Logs(_Section):
    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """debug, info, warning or error."""
    format: str = Field(default="auto", pattern="^(auto|json|text)$")
    """json, text, or auto: text on a terminal."""


class Metrics(_Section):
    port: int = Field(default=0, ge=0, le=65535)
    """Port of /metrics and /health on the loopback for a single role; 0: off. `up` gives each role its own."""


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as e:
        raise ValueError(f"not a regular expression ({e})") from None
    return text


class Numbers(_Section):
    """The number plan of a PBX: which party is a customer, and how a number reads in E.164."""

    country: str = Field(default="BE", pattern="^[A-Z]{2}$")
    """ISO country that national numbers belong to."""
    extensions: Annotated[str, AfterValidator(_expression)] = r"[1-9]\d{1,4}"
    """Regular expression of the house's own extensions, matched whole."""
    dids: tuple[str, ...] = ()
    """Own numbers that are dialled from outside, in any notation; empty: every number dialled from a trunk."""
    trunk_contexts: tuple[str, ...] = ("from-trunk", "from-pstn", "from-did-direct", "ext-did")
    """Dialplan contexts that calls from outside arrive in."""
    closed_contexts: tuple[str, ...] = ()
    """Dialplan contexts that callers come to out of hours: who comes no further has reached a closed house."""
    outside_prefix: str = ""
    """What is dialled before an outside number, such as 0 or 9."""


class Pbx(BaseModel):
    """One source of a PBX: which adapter, number plan and agents, and the adapter's own keys beside them.

    Where it is another source `of` a section, number plan and agents are that one's unless they are given.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    adapter: str
    """Name of the adapter: asterisk_ami, asterisk_cel, asterisk_cdr or asterisk_queue_log."""
    numbers: Numbers = Numbers()
    agents: dict[str, str] = {}
    """Agents by interface ("PJSIP/1001"), device ("1001") or queue member's name; who is not named is his extension."""


class Crm(BaseModel):
    """One CRM: which connector, and the connector's own keys beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    connector: str
    """Name of the connector: amocrm, bitrix24, hubspot, odoo, rest, salesforce or sandbox."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
"""Of a PBX or CRM: it is part of ids, of topics' keys and of file names."""


class Settings(_Section):
    tenant: str = Field(default="default", pattern=r"^[A-Za-z0-9._-]+$")
    """Name of the tenant, on every record."""
    data_dir: Path = Path("var")
    """Where the embedded parts, spools and positions live; relative to this file."""
    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    pbx: dict[Name, Pbx] = {}
    crm: dict[Name, Crm] = {}
    streams: Streams = Streams()
    logs: Logs = Logs()
    metrics: Metrics = Metrics()


def load(file: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of a file (None: defaults only) with the environment over it; Fatal names the key and the fix."""
    tree = _read(file) if file else {}
    _forbid_secrets(tree, "")
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and "__" in name:
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), value)
    for key in ("tenant", "data_dir"):
        if given := environ.get(PREFIX + key.upper()):
            tree[key] = given
    base = file.parent if file else Path()
    _read_secret_files(tree, base)
    settings = validated(Settings, tree, "")
    # As with secret_file: the same set-up wherever it is started from.
    return settings.model_copy(update={"data_dir": base / settings.data_dir})


def connector_config(kind: type[C], section: Pbx | Crm, where: str) -> C:
    """A connector's own `Config` from the extra keys of its section; Fatal names the key and the fix."""
    return validated(kind, dict(section.model_extra or {}), where)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fatal(f"no configuration at {file}; `trunkline init` writes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise Fatal(f"{file} is not TOML: {e}") from None


def _forbid_secrets(tree: Mapping[str, Any], where: str) -> None:
    for key, value in tree.items():
        path = f"{where}{key}"
        if isinstance(value, Mapping):
            _forbid_secrets(value, f"{path}.")
        elif key in SECRETS:
            raise Fatal(f"{path}: a secret does not stand in the file; {way_in(path)}")


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        key = next((k for k in tree if k.lower().replace("-", "_") == step), step)  # names in the file have any case
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            return
        tree = branch
    tree[path[-1]] = SecretStr(value) if path[-1] in SECRETS else value


def _read_secret_files(tree: dict[str, Any], base: Path, where: str = "") -> None:
    for key, value in list(tree.items()):
        if isinstance(value, dict):
            _read_secret_files(value, base, f"{where}{key}.")
        elif key.removesuffix("_file") in SECRETS and key.endswith("_file"):
            del tree[key]
            try:
                text = (base / value).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as e:
                raise Fatal(f"{where}{key}: cannot read {value}: {type(e).__name__}; make it readable text") from None
            tree.setdefault(key.removesuffix("_file"), SecretStr(text))

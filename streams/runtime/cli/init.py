"""`trunkline init`: from a PBX's address to a configuration that works."""

import re
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams.clients.ami_probe import Door, listen
from streams.runtime import config as configuration
from streams.runtime import connectors, reference
from streams.runtime.clock import SystemClock
from streams.runtime.doctor import MANAGER_CONF, OTHER_CONF
from streams.runtime.errors import Fatal, Reject, Retry

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

_TOML = """\
# Written by `trunkline init`. Every key there is, with its meaning: deploy/config/reference.toml
tenant = {tenant}

[pbx.{pbx}]
adapter = "asterisk_ami"
host = {host}
port = {port}
username = {user}
secret_file = {secret_file}

[pbx.{pbx}.numbers]
country = {country}
extensions = {extensions}
dids = {dids}
"""
_CRM = """
[crm.crm]
connector = "sandbox"            # the CRM that ships with Trunkline, for trying things out
"""


def init(
    output: Annotated[Path, typer.Option(help="The configuration to write.")] = Path("trunkline.toml"),
    pbx: Annotated[str, typer.Option(help="Your name for the PBX; it is on every record.")] = "main",
    host: Annotated[
        str, typer.Option(prompt="Asterisk's host", help="Host of Asterisk's manager interface.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 5038,
    user: Annotated[str, typer.Option(help="Manager user that Trunkline logs in as.")] = "trunkline",
    secret_file: Annotated[
        Path | None, typer.Option(help="File that holds the user's secret; none: one is made up.")
    ] = None,
    country: Annotated[str, typer.Option(prompt="Country of your numbers (ISO)", help="Such as BE, DE, US.")] = "BE",
    extensions: Annotated[
        str, typer.Option(prompt="Extensions (regular expression)", help="Matched whole.")
    ] = r"[1-9]\d{1,4}",
    dids: Annotated[str, typer.Option(prompt="Own outside numbers (with commas)", help="In any notation.")] = "",
    crm: Annotated[str, typer.Option(prompt="CRM (sandbox, or none)", help="sandbox or none.")] = "sandbox",
    tenant: Annotated[str, typer.Option(help="Name of the tenant, on every record.")] = "default",
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Try the login before writing.")] = True,
    force: Annotated[bool, typer.Option(help="Overwrite an existing configuration.")] = False,
) -> None:
    """Ask for the PBX and the CRM, show the manager.conf lines to add, try the login, and write the configuration.

    Every question is also an option, for scripts.
    """
    console = Console(soft_wrap=True)
    _check(output, force=force, pbx=pbx, user=user, crm=crm)
    place = str(secret_file.absolute()) if secret_file else f"secrets/pbx-{pbx}"
    values = {"tenant": tenant, "host": host, "port": port, "user": user, "secret_file": place, "country": country}
    values |= {"extensions": extensions, "dids": [did.strip() for did in dids.split(",") if did.strip()]}
    text = _TOML.format(pbx=pbx, **{key: reference.toml(value) for key, value in values.items()})
    secret = _secret(output.absolute().parent / place, made_up=secret_file is None)
    draft = output.with_name(f".{output.name}.new")
    try:
        draft.write_text(text + (_CRM if crm == "sandbox" else ""), encoding="utf-8")
        if wrong := [told for _, told in connectors.faults(configuration.load(draft, {}))]:
            raise Fatal("\n".join(wrong))
        _show(console, user, secret if secret_file is None else f"<as in {secret_file}>")
        if probe:
            _try(console, Door(host=host, port=port, username=user, secret=secret))
        draft.replace(output)
    except UnicodeEncodeError:
        raise Reject("an answer holds bytes that are no text: type it again") from None
    finally:
        draft.unlink(missing_ok=True)
    console.print(
        f"written: {output}. Next: `trunkline up --config {output}`, then `trunkline doctor`", highlight=False
    )


def _check(output: Path, *, force: bool, crm: str, **names: str) -> None:
    if output.exists() and not force:
        raise Reject(f"{output} exists; --force overwrites it")
    for option, name in names.items():
        if not _NAME.fullmatch(name):
            raise Reject(f"--{option} {name!r}: begin with a letter, then letters, digits, _ and -")
    if crm not in ("sandbox", "none"):
        raise Reject(f"--crm {crm!r}: sandbox or none")


def _secret(file: Path, *, made_up: bool) -> str:
    """The secret in the file. One that nobody has to think of is made up first, where only its owner reads it."""
    if made_up and not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(20), encoding="ascii")
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Fatal(f"cannot read the secret in {file}: {type(e).__name__}; make it readable text") from None
    if not text or not text.isprintable():
        raise Fatal(f"{file} must hold the secret in one line of text")
    return text


def _show(console: Console, user: str, secret: str) -> None:
    for what, lines in (
        ("manager.conf of Asterisk needs these lines (then `asterisk -rx 'manager reload'`):", MANAGER_CONF),
        ("These help, and nothing depends on them:", OTHER_CONF),
    ):
        console.print(what + "\n", highlight=False, markup=False)
        console.print(lines.format(user, secret), markup=False, highlight=False)


def _try(console: Console, door: Door) -> None:
    """Until the login works or the person gives up on it for now."""
    while True:
        try:
            heard = listen(door, [], SystemClock(), seconds=2)
        except (TimeoutError, Retry, Fatal) as e:
            console.print(f"not yet: {e}", markup=False, highlight=False)
            if not typer.confirm("Try again?", default=True):
                console.print("written all the same; `trunkline doctor` tries again later")
                return
        else:
            console.print(f"login works: {heard.greeting}", markup=False, highlight=False)
            return

"""Settings: precedence, secrets, and errors that name the key and the fix."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.runtime import config
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """As a connector declares its own keys."""

    host: str
    secret: SecretStr
    port: int = 5038


def load(folder: Path, toml: str, **environ: str) -> Settings:
    file = folder / "trunkline.toml"
    file.write_text(toml, encoding="utf-8")
    return config.load(file, environ)


def own(settings: Settings) -> Example:
    return config.connector_config(Example, settings.pbx["main"], "pbx.main")


def test_defaults_need_no_file() -> None:
    """A newcomer configures nothing."""
    settings = config.load(None, {})
    assert settings.kafka.bootstrap == ""
    assert settings.pbx == {}


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    """The same image runs everywhere, told by its environment."""
    environ = {"TRUNKLINE_TENANT": "acme", "TRUNKLINE_KAFKA__BOOTSTRAP": "b:1", "TRUNKLINE_PBX__MAIN__PORT": "7"}
    settings = load(tmp_path, '[kafka]\nbootstrap="a:1"\n[pbx.main]\nadapter="x"\nhost="h"\nport=1', **environ)
    assert (settings.tenant, settings.kafka.bootstrap) == ("acme", "b:1")
    assert (settings.pbx["main"].model_extra or {})["port"] == "7"


def test_a_list_from_the_environment_is_separated_by_commas(tmp_path: Path) -> None:
    """The environment has no lists."""
    settings = load(tmp_path, '[pbx.main]\nadapter="x"', TRUNKLINE_PBX__MAIN__NUMBERS__DIDS="1, +32 2 5")
    assert settings.pbx["main"].numbers.dids == ("1", "+32 2 5")


@pytest.mark.parametrize("environ", [{"TRUNKLINE_PBX__MAIN__SECRET": "hush"}, {}])
def test_a_secret_comes_from_the_environment_or_a_file_and_is_never_shown(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    """Neither the settings nor a connector's own show it."""
    (tmp_path / "s").write_text("hush\n", encoding="utf-8")
    toml = '[pbx.main]\nadapter="x"\nhost="h"\n' + ("" if environ else 'secret_file="s"')
    settings = load(tmp_path, toml, **environ)
    assert own(settings).secret.get_secret_value() == "hush"
    assert "hush" not in repr(settings) + repr(own(settings))


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[kafka]\nbootstrp="x"', "kafka.bootstrp: there is no such key; did you mean bootstrap?"),
        ("[kafka]\nport=99999", "kafka.port: input should be less than or equal to 65535 (given: 99999)"),
        ("[zzz]\na=1", "zzz: there is no such key; take it out"),
        ('[pbx.main]\nhost="h"', "pbx.main.adapter: is needed and missing; add it"),
        ('[pbx.main]\nadapter="x"\nsecret="s"', "set TRUNKLINE_PBX__MAIN__SECRET, or secret_file"),
        ('[pbx.main]\nadapter="x"\nsecret_file="nowhere"', "pbx.main.secret_file: cannot read nowhere"),
        (
            '[pbx.main]\nadapter="x"\n[pbx.main.numbers]\ncountr="BE"',
            "pbx.main.numbers.countr: there is no such key; did",
        ),
        ("tenant = ", "is not TOML"),
    ],
)
def test_an_error_names_the_key_and_the_fix(tmp_path: Path, toml: str, told: str) -> None:
    """A person mends the file without reading our code."""
    with pytest.raises(Fatal) as e:
        load(tmp_path, toml)
    assert told in str(e.value)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """The way on is in the error."""
    with pytest.raises(Fatal, match="trunkline init"):
        config.load(tmp_path / "none.toml", {})


def test_every_wrong_key_of_a_connector_is_told_at_once(tmp_path: Path) -> None:
    """One run shows all that is to mend, and never the secret."""
    settings = load(tmp_path, '[pbx.main]\nadapter="x"\nprt=1\nport="many"', TRUNKLINE_PBX__MAIN__SECRET="hush")
    with pytest.raises(Fatal) as e:
        own(settings)
    lines = str(e.value).splitlines()
    assert lines[0] == "pbx.main.prt: there is no such key; did you mean port?"
    assert sorted(line.split(":")[0] for line in lines[1:]) == ["pbx.main.host", "pbx.main.port"]
    assert "hush" not in str(e.value)


def test_agents_and_wrap_ups_are_named_as_they_are(tmp_path: Path) -> None:
    """Interfaces and queues have names of any kind, which TOML quotes."""
    toml = """
        [pbx.main]
        adapter = "asterisk_ami"
        agents = { "PJSIP/1001" = "anna", "Bram Claes" = "bram" }
        [streams.agents]
        queue_wrapup_seconds = { "sales & more" = 15, support = 7.5 }
    """
    found = load(tmp_path, toml)
    assert found.pbx["main"].agents == {"PJSIP/1001": "anna", "Bram Claes": "bram"}
    assert found.streams.agents.queue_wrapup_seconds == {"sales & more": 15.0, "support": 7.5}
    with pytest.raises(Fatal, match=r"streams\.agents\.queue_wrapup_seconds\.support"):
        load(tmp_path, "[streams.agents]\nqueue_wrapup_seconds = { support = -1 }")

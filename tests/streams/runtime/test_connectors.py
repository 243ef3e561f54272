"""Connectors are found by name, and a section that cannot work is told before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from streams.runtime import config, connectors, plugins
from streams.runtime.config import Settings
from streams.runtime.errors import Fatal
from streams.runtime.validation import validated

AMI = {"adapter": "asterisk_ami", "host": "h", "username": "u", "secret": "s"}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def told(**sections: Any) -> list[str]:
    return [text for _, text in connectors.faults(settings(**sections))]


def test_sections_that_work_have_no_fault() -> None:
    """The words of the reference are right."""
    crm = {"connector": "sandbox", "country": "FR"}
    assert told(pbx={"main": AMI, "files": {"adapter": "asterisk_cdr", "of": "main"}}, crm={"crm": crm}) == []


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        (
            {"pbx": {"main": {**AMI, "adapter": "asterix"}}},
            "pbx.main.adapter: there is no connector 'asterix'; there are: asterisk_ami, asterisk_cdr, asterisk_cel, asterisk_queue_log",
        ),
        ({"crm": {"crm": {"connector": "ledger"}}}, "there is no connector 'ledger'; there are: "),
        ({"crm": {"crm": {"connector": "../x"}}}, "crm.crm.connector: there is no connector"),
        ({"pbx": {"main": {**AMI, "hots": "h"}}}, "pbx.main.hots: there is no such key; did you mean host?"),
        ({"pbx": {"main": {**AMI, "port": "many"}}}, "pbx.main.port: input should be a valid integer"),
        ({"pbx": {"main": {**AMI, "tls": True, "tls_ca": "/nowhere"}}}, "tls_ca: /nowhere holds no readable CA"),
        ({"crm": {"crm": {"connector": "sandbox", "rates_per_s": 1}}}, "no such key; did you mean rate_per_s?"),
        ({"pbx": {"main": AMI}, "crm": {"main": {"connector": "sandbox"}}}, "crm.main: the name main is taken"),
        ({"pbx": {"kafka": AMI}}, "pbx.kafka: the name kafka is taken"),
    ],
)
def test_a_section_that_cannot_work_is_told_with_the_fix(sections: dict[str, Any], fault: str) -> None:
    """Before a broker is started, not from a log that nobody reads."""
    (found,) = told(**sections)
    assert fault in found


def test_a_missing_secret_says_how_it_is_given() -> None:
    """It is the one key that does not belong into the file."""
    (found,) = told(pbx={"main": {k: v for k, v in AMI.items() if k != "secret"}})
    assert found == (
        "pbx.main.secret: is needed and missing; set TRUNKLINE_PBX__MAIN__SECRET, or secret_file to a file that holds it"
    )


def test_every_fault_of_every_section_is_told_at_once() -> None:
    """One run shows all that is to mend."""
    faults = list(connectors.faults(settings(pbx={"a": {"adapter": "x"}, "b": {"adapter": "y"}, "c": AMI})))
    assert [part for part, _ in faults] == ["pbx.a", "pbx.b"]


def test_a_module_with_two_connectors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file name is the name of one."""
    monkeypatch.setattr(plugins, "_values", lambda *_: [1, 2])
    with pytest.raises(Fatal, match="exactly one int, not 2"):
        plugins.load("producers.pbx", "asterisk_ami", int)


@pytest.mark.parametrize("name", ["a/b", "a:b", "../a", "1a", "a b", ""])
def test_a_name_is_fit_for_ids_and_files(name: str) -> None:
    """It is in call ids, keys and folder names."""
    with pytest.raises(Fatal, match="pattern"):
        validated(Settings, {"pbx": {name: AMI}}, "")


def test_a_number_plan_that_is_no_expression_is_told(tmp_path: Path) -> None:
    """Not by the adapter's crash."""
    file = tmp_path / "t.toml"
    file.write_text('[pbx.main]\nadapter="x"\n[pbx.main.numbers]\nextensions="[1"', encoding="utf-8")
    with pytest.raises(Fatal, match=r"^pbx\.main\.numbers\.extensions: not a regular expression"):
        config.load(file, {})


def test_the_environment_finds_a_name_in_any_case_and_with_hyphens(tmp_path: Path) -> None:
    """A shell has no hyphens in names."""
    file = tmp_path / "t.toml"
    file.write_text('[pbx.Head-Office]\nadapter="asterisk_ami"\nhost="h"\nusername="u"', encoding="utf-8")
    found = config.load(file, {"TRUNKLINE_PBX__HEAD_OFFICE__SECRET": "hush"})
    assert connectors.configured(found, "pbx", "Head-Office").secret.get_secret_value() == "hush"
    assert list(found.pbx) == ["Head-Office"]


@pytest.mark.parametrize("file", ["reference.toml", "minimal.toml"])
def test_the_shipped_configurations_load(file: str) -> None:
    """What an operator copies works, up to the secrets, addresses and mapping that only he knows."""
    path = Path(connectors.__file__).parents[2] / "deploy/config" / file
    found = config.load(path, {})
    keys = {
        line.split(":")[0].rpartition(".")[2] for line in "\n".join(t for _, t in connectors.faults(found)).split("\n")
    }
    assert keys <= {"host", "username", "secret", "mapping"}

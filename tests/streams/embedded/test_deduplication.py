"""Tokens of inserts that a kill cut short are forgotten, all others are kept."""

from pathlib import Path

import pytest

from streams.embedded.deduplication import forget_unfinished


def store(folder: Path, parts: list[str], lines: list[str]) -> Path:
    table = folder / "engine" / "store" / "64a" / "64a23b0a"
    for part in parts:
        (table / part).mkdir(parents=True)
    logs = table / "deduplication_logs"
    logs.mkdir(parents=True)
    (logs / "deduplication_log_1.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return folder / "engine" / "store"


def logged(store: Path) -> list[str]:
    return next(store.glob("*/*/deduplication_logs/*")).read_text(encoding="ascii").splitlines()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(["all_7_7_0"], id="in-place"),
        pytest.param(["all_3_9_2"], id="merged"),
        pytest.param(["all_7_7_0_11"], id="mutated"),
    ],
)
def test_token_of_a_part_that_exists_is_kept(tmp_path: Path, parts: list[str]) -> None:
    """A token stays as long as its rows are there, in their own part or in one that took it up."""
    folder = store(tmp_path, parts, ["1\tall_7_7_0\tall_123_456"])
    assert forget_unfinished(folder) == 0
    assert logged(folder) == ["1\tall_7_7_0\tall_123_456"]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="none"),
        pytest.param(["tmp_insert_all_7_7_0"], id="not-renamed"),
        pytest.param(["all_1_6_1", "all_8_8_0"], id="neighbours"),
        pytest.param(["202402_7_7_0"], id="other-partition"),
    ],
)
def test_token_without_rows_is_forgotten(tmp_path: Path, parts: list[str]) -> None:
    """A token whose part never came into its place is dropped, and only that one."""
    kept = ["1\t202401_1_1_0\tx", "2\tall_7_7_0\tdropped"]
    folder = store(tmp_path, ["202401_1_1_0", *parts], [kept[0], "1\tall_7_7_0\tall_123_456", kept[1]])
    assert forget_unfinished(folder) == 1
    assert logged(folder) == kept


def test_no_tables_is_nothing_to_do(tmp_path: Path) -> None:
    """A new data folder has nothing to repair."""
    assert forget_unfinished(tmp_path / "store") == 0

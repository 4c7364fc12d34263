from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthtutor import keys
from synthtutor.errors import ConfigError
from synthtutor.provider import Endpoint

keyring = pytest.importorskip("keyring", reason="the package keyring is not installed")
from keyring.backend import KeyringBackend  # noqa: E402  # after the skip
from keyring.errors import KeyringLocked, NoKeyringError  # noqa: E402

VARIABLE = "SYNTHTUTOR_TEST_KEY"
SECOND = "SYNTHTUTOR_TEST_SECOND_KEY"


class Drawer(KeyringBackend):
    """A keyring in memory; it raises ``trouble`` if it has one."""

    priority = 0.1  # never the one that keyring chooses by itself
    name = "drawer"

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.trouble: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.trouble:
            raise self.trouble
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.trouble:
            raise self.trouble
        self.kept[service, username] = password


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    """The keyring of the test."""
    before = keyring.get_keyring()
    drawer = Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawer: Drawer) -> Path:
    """The folder that the test is in: one of a repository, in the home of nobody else."""
    for variable in (VARIABLE, SECOND):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    folder = tmp_path / "home" / "repository" / "part"
    folder.mkdir(parents=True)
    (folder.parent / ".git").mkdir()
    monkeypatch.chdir(folder)
    return folder


# ── the order ────────────────────────────────────────────────────────────────────────────────


def test_the_environment_wins_over_a_file_and_a_file_over_the_keyring(
    work: Path, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawer.kept["synthtutor", VARIABLE] = "from-keyring"
    assert keys.find(VARIABLE) == keys.Key("from-keyring", VARIABLE, "the keyring")
    (work / ".env").write_text(f"{VARIABLE}=from-file\n")
    assert keys.find(VARIABLE) == keys.Key("from-file", VARIABLE, str(work / ".env"))
    monkeypatch.setenv(VARIABLE, "from-environment")
    assert keys.find(VARIABLE) == keys.Key("from-environment", VARIABLE, "the environment")
    assert Endpoint().key(VARIABLE) == "from-environment"
    assert Endpoint(api_key="given").key(VARIABLE) == "given"


def test_a_place_is_asked_for_every_variable_before_the_next_place(
    work: Path, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawer.kept["synthtutor", VARIABLE] = "from-keyring"
    monkeypatch.setenv(SECOND, "second")
    assert keys.find(VARIABLE, SECOND).variable == SECOND
    monkeypatch.setenv(VARIABLE, "first")
    assert keys.find(VARIABLE, SECOND).variable == VARIABLE


@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_empty_value_is_none(nothing: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, nothing)
    (work / ".env").write_text(f"{VARIABLE}={nothing}\n")
    (work.parent / ".env").write_text(f'{VARIABLE}=" from-above "\n')
    assert keys.find(VARIABLE).value == "from-above"


# ── the file ─────────────────────────────────────────────────────────────────────────────────


def test_the_nearest_file_that_has_the_key_wins(work: Path) -> None:
    (work.parent / ".env").write_text(f"{VARIABLE}=above\n{SECOND}=above\n")
    (work / ".env").write_text(f"# mine\nexport {VARIABLE}='near'\nOTHER\n")
    assert keys.find(VARIABLE).value == "near"
    assert keys.find(SECOND).value == "above"


def test_no_file_is_read_above_the_repository(work: Path) -> None:
    (work.parent.parent / ".env").write_text(f"{VARIABLE}=home\n")
    with pytest.raises(ConfigError):
        keys.find(VARIABLE)
    (work.parent / ".git").rmdir()
    assert keys.find(VARIABLE).value == "home"


def test_outside_home_and_repository_only_the_folder_itself_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / ".env").write_text(f"{VARIABLE}=anybody's\n")
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError):
        keys.find(VARIABLE)
    (folder / ".env").write_text(f"{VARIABLE}=mine\n")
    assert keys.find(VARIABLE).value == "mine"


def test_nothing_is_written_into_the_environment(work: Path) -> None:
    (work / ".env").write_text(f"{VARIABLE}=from-file\nSYNTHTUTOR_TEST_OTHER=x\n")
    before = dict(os.environ)
    keys.find(VARIABLE)
    assert dict(os.environ) == before


def test_an_address_is_not_read_from_a_file(work: Path) -> None:
    (work / ".env").write_text("SYNTHTUTOR_TEST_URL=http://elsewhere\n")
    assert Endpoint().url("SYNTHTUTOR_TEST_URL", "http://vendor") == "http://vendor"


def test_a_folder_of_that_name_is_no_file(work: Path, drawer: Drawer) -> None:
    (work / ".env").mkdir()  # some keep a virtual environment there
    drawer.kept["synthtutor", VARIABLE] = "from-keyring"
    assert keys.find(VARIABLE).value == "from-keyring"


def test_a_file_that_cannot_be_read_is_named_only_where_no_key_is_found(
    work: Path, drawer: Drawer
) -> None:
    (work / ".env").write_bytes(f"{VARIABLE}=secret-\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"part/\.env cannot be read: it is not UTF-8") as raised:
        keys.find(VARIABLE)
    assert "secret" not in str(raised.value)
    drawer.kept["synthtutor", VARIABLE] = "from-keyring"
    assert keys.find(VARIABLE).value == "from-keyring"


def test_a_folder_that_is_gone_has_no_file(work: Path, drawer: Drawer) -> None:
    drawer.kept["synthtutor", VARIABLE] = "from-keyring"
    work.rmdir()
    assert keys.find(VARIABLE).value == "from-keyring"


# ── the keyring ──────────────────────────────────────────────────────────────────────────────


def test_what_is_stored_is_found(drawer: Drawer) -> None:
    assert keys.store(VARIABLE, "kept") == "drawer"
    assert drawer.kept == {("synthtutor", VARIABLE): "kept"}
    assert keys.find(VARIABLE).value == "kept"


def test_a_keyring_that_fails_is_named_only_where_no_key_is_found(
    work: Path, drawer: Drawer
) -> None:
    drawer.trouble = KeyringLocked("Failed to unlock the collection!\nmore")
    with pytest.raises(ConfigError, match=r"KeyringLocked: Failed to unlock the collection!$"):
        keys.find(VARIABLE)
    (work / ".env").write_text(f"{VARIABLE}=from-file\n")
    assert keys.find(VARIABLE).value == "from-file"


def test_a_machine_without_a_keyring_is_told_only_to_who_stores(drawer: Drawer) -> None:
    drawer.trouble = NoKeyringError("No recommended backend was available.")
    with pytest.raises(ConfigError) as raised:
        keys.find(VARIABLE)
    assert "no keyring" not in str(raised.value)
    with pytest.raises(ConfigError, match="this machine has no keyring"):
        keys.store(VARIABLE, "kept")


def test_a_keyring_that_quotes_the_key_is_not_quoted(drawer: Drawer) -> None:
    drawer.trouble = RuntimeError("cannot store 'very-secret'")
    with pytest.raises(ConfigError, match=r"cannot store '\[redacted\]'") as raised:
        keys.store(VARIABLE, "very-secret")
    assert raised.value.__suppress_context__


def test_without_the_package_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    for act in (lambda: keys.find(VARIABLE), lambda: keys.store(VARIABLE, "x")):
        with pytest.raises(ConfigError, match=r'pip install "synthtutor\[keyring\]"'):
            act()


# ── the error, and the weight ────────────────────────────────────────────────────────────────


def test_a_missing_key_names_the_variables_and_the_places() -> None:
    with pytest.raises(ConfigError) as raised:
        keys.find(VARIABLE, SECOND)
    said = str(raised.value)
    assert f"{VARIABLE} or {SECOND}" in said
    for place in ("environment", ".env", "keyring (synthtutor providers set-key NAME)"):
        assert place in said


def test_a_key_is_not_shown() -> None:
    assert "very-secret" not in repr(keys.Key("very-secret", VARIABLE, "the environment"))


def test_nothing_is_imported_until_a_key_is_looked_for() -> None:
    script = (
        "import sys, synthtutor.provider, synthtutor.cli.app\n"
        "print({'dotenv', 'keyring'} & set(sys.modules))\n"
        "import os, synthtutor.keys as keys; os.environ['K'] = 'x'; keys.find('K')\n"
        "print({'dotenv', 'keyring'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["set()", "set()"]

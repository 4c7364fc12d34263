from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synthtutor.errors import ConfigError
from synthtutor.plugins import installed, load, open_provider, split_model
from synthtutor.provider import Endpoint
from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.testing import Scripted


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution that declares plugins, most of them broken."""
    (tmp_path / "st_fixture_plugin.py").write_text("NOTHING = lambda endpoint: object()\n")
    info = tmp_path / "st_fixture_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: st-fixture-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[synthtutor.providers]\n"
        "unimportable = st_no_such_module:X\n"
        "nameless = st_fixture_plugin:NO_SUCH_NAME\n"
        "hollow = st_fixture_plugin:NOTHING\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "st_fixture_plugin", raising=False)
    return tmp_path


def test_what_is_installed_is_found_by_name() -> None:
    assert "scripted" in installed("providers")
    assert load("recipes", "misconception") is MISCONCEPTION


def test_a_provider_is_built_with_its_endpoint() -> None:
    provider = open_provider("scripted", Endpoint(options={"delay_s": "0.5"}))
    assert isinstance(provider, Scripted)


def test_a_misspelt_name_says_what_was_meant_and_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no provider 'scriptd'; did you mean 'scripted'\?"):
        load("providers", "scriptd")
    with pytest.raises(ConfigError, match=r"no recipe 'x'.* Installed: .*misconception"):
        load("recipes", "x")


def test_a_plugin_of_another_distribution_is_found(distribution: Path) -> None:
    assert {"unimportable", "nameless", "hollow"} <= set(installed("providers"))


def test_a_plugin_that_is_not_used_is_not_imported(distribution: Path) -> None:
    load("providers", "scripted")
    assert "st_fixture_plugin" not in sys.modules


@pytest.mark.parametrize("name", ["unimportable", "nameless"])
def test_a_plugin_that_cannot_be_imported_is_named(distribution: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"provider '{name}' cannot be imported"):
        load("providers", name)


def test_a_plugin_that_is_no_provider_is_refused(distribution: Path) -> None:
    with pytest.raises(ConfigError, match="lacks complete, capabilities or aclose"):
        open_provider("hollow", Endpoint())


def test_a_model_is_a_provider_and_a_name() -> None:
    assert split_model("openai/gpt-5-mini") == ("openai", "gpt-5-mini")
    assert split_model("hub/org/model") == ("hub", "org/model")


@pytest.mark.parametrize("model", ["", "gpt-5-mini", "/gpt", "openai/"])
def test_a_model_without_its_provider_is_refused_with_an_example(model: str) -> None:
    with pytest.raises(ConfigError, match="write provider/model"):
        split_model(model)


def test_finding_plugins_imports_no_sdk() -> None:
    script = (
        "import sys; from synthtutor.plugins import load, open_provider; "
        "load('recipes', 'misconception'); "
        "print([m for m in ('openai', 'anthropic', 'torch', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

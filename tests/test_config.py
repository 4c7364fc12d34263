from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.config import CONTENT_FIELDS, RunConfig
from synthtutor.errors import ConfigError
from synthtutor.limits import Limits

names = st.text("abcxyz_-", min_size=1, max_size=8)
models = st.builds("{}/{}".format, names, names)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
configs = st.fixed_dictionaries(
    {},
    optional={
        "recipe": names,
        "models": st.dictionaries(names, models, max_size=3),
        "rows": texts.filter(bool),
        "n": st.integers(1, 10**6),
        "seed": st.integers(-(2**31), 2**31),
        "options": st.dictionaries(names, texts, max_size=2),
        "settings": st.dictionaries(
            names,
            st.fixed_dictionaries(
                {}, optional={"max_tokens": st.integers(1, 9999), "temperature": st.floats(0, 2)}
            ),
            max_size=2,
        ),
        "prices": st.dictionaries(models, st.tuples(st.floats(0, 99), st.floats(0, 99))),
        "budget_usd": st.floats(0, 1000),
        "concurrency": st.integers(1, 9999),
        "max_failed": st.floats(0, 1),
    },
)


@given(data=configs)
def test_a_saved_configuration_is_loaded_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    config = RunConfig.checked(data)
    path = tmp_path_factory.getbasetemp() / "run.yaml"
    config.save(path)
    assert RunConfig.load(path) == config


def test_defaults_are_left_out_of_the_file_and_the_recipe_is_not(tmp_path: Path) -> None:
    RunConfig(n=5).save(tmp_path / "run.yaml")
    assert (tmp_path / "run.yaml").read_text() == "recipe: misconception\nn: 5\n"


def test_what_is_given_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("n: 5\nseed: 3\n")
    config = RunConfig.load(tmp_path / "run.yaml", n=7)
    assert (config.n, config.seed) == (7, 3)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    assert RunConfig.load(tmp_path / "run.yaml") == RunConfig()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"budget": 3}, "budget: there is no such field; did you mean budget_usd?"),
        ({"zzz": 3}, "zzz: there is no such field"),
        ({"n": 0}, "n: must be more than 0"),
        ({"n": "many"}, "n: "),
        ({"models": {"writer": "gpt-5"}}, "write provider/model"),
        ({"settings": {"writer": {"temperature": 3}}}, "settings.writer.temperature: "),
        ({"settings": {"writer": {"heat": 1}}}, "settings.writer.heat: there is no such field"),
        ({"base_urls": {"x": "https://me:secret@host/v1"}}, "put the key into the environment"),
        ({"max_failed": 1.5}, "max_failed: "),
        ({"prices": {"a/b": [-1, 2]}}, "prices.a/b: write [IN, OUT]"),
        ({"prices": {"a/b": [1, float("nan")]}}, "prices.a/b: write [IN, OUT]"),
        ({"budget_usd": float("nan")}, "budget_usd: "),
        ({1: 2}, "1: "),
    ],
)
def test_a_wrong_field_is_named_with_the_fix(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.checked(data, "run.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("run.yaml: ")
    assert "secret" not in str(caught.value)


def test_each_wrong_field_has_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.checked({"n": 0, "concurrency": 0})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"- a\n- b\n", "must be fields and values"),
        (b"just text", "must be fields and values"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        RunConfig.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        RunConfig.load(tmp_path / "run.yaml")


def test_there_is_no_place_for_a_key() -> None:
    assert not [name for name in RunConfig.model_fields if "key" in name or "secret" in name]


def test_limits_are_what_was_configured() -> None:
    config = RunConfig(concurrency=7, requests_per_minute=60, tokens_per_minute=1000)
    assert config.limits() == Limits(7, requests_per_minute=60, tokens_per_minute=1000)


def test_a_roles_settings_are_only_those_that_were_given() -> None:
    config = RunConfig.checked({"settings": {"writer": {"temperature": 0}}})
    assert config.settings["writer"].given() == {"temperature": 0.0}


def test_differences_name_what_changes_what_is_asked_and_nothing_else() -> None:
    before = RunConfig(n=10, models={"default": "a/b"}, concurrency=5)
    after = RunConfig(n=20, models={"default": "a/c"}, concurrency=50, budget_usd=3)
    assert after.differences(before) == ["n: 10 → 20", "models: default=a/b → default=a/c"]
    assert after.differences(after) == []


def test_every_content_field_is_a_field() -> None:
    assert set(CONTENT_FIELDS) <= set(RunConfig.model_fields)

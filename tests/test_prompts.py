from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError, RecipeError
from synthtutor.messages import Message
from synthtutor.prompts import BUILTIN, Prompts

JUDGE = "judge.md.j2"


def write(folder: Path, name: str, text: str) -> Prompts:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return Prompts(folder)


def test_each_block_becomes_a_message_in_the_order_of_a_conversation(tmp_path: Path) -> None:
    prompts = write(
        tmp_path,
        "p.j2",
        "{% block user %}\nHello {{ name }}\n{% endblock %}\n"
        "{% block assistant %}Hm.{% endblock %}"
        "{% block system %}Be kind.{% endblock %}",
    )
    assert prompts.render("p.j2", {"name": "Ada"}) == [
        Message("system", "Be kind."),
        Message("user", "Hello Ada"),
        Message("assistant", "Hm."),
    ]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_value_is_never_a_template(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "values"
    prompts = write(folder, "p.j2", "{% block user %}<{{ value }}>{% endblock %}")
    for text in (value, f"{{{{ 7 * 7 }}}} {value}", f"{{% raw %}} {value}", "<b>&amp;</b>"):
        assert prompts.render("p.j2", {"value": text})[0].content == f"<{text}>"


def test_a_users_folder_overrides_one_prompt_and_leaves_the_others(tmp_path: Path) -> None:
    prompts = write(tmp_path, JUDGE, "{% block user %}mine{% endblock %}")
    assert prompts.render(JUDGE, {})[0].content == "mine"
    assert prompts.render("misconception/tutor.md.j2", {})[0].role == "system"


def test_folders_are_looked_through_in_order(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path / name, JUDGE, f"{{% block user %}}{name}{{% endblock %}}")
    found = Prompts(tmp_path / "first", tmp_path / "second").render(JUDGE, {})
    assert found[0].content == "first"


def test_a_missing_value_is_named_with_the_file() -> None:
    with pytest.raises(RecipeError, match=r"misconception/student.md.j2.*'case' is undefined"):
        Prompts().render("misconception/student.md.j2", {})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no/such.j2: there is no such file"):
        Prompts().render("no/such.j2", {})


def test_a_file_outside_the_folders_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.j2").write_text("{% block user %}secret{% endblock %}")
    (tmp_path / "prompts").mkdir()
    with pytest.raises(ConfigError):
        Prompts(tmp_path / "prompts").render("../secret.j2", {})


def test_a_malformed_file_is_named_with_its_line(tmp_path: Path) -> None:
    prompts = write(tmp_path, "p.j2", "fine\n{% block user %}\n{{ 1 + }}\n{% endblock %}")
    with pytest.raises(ConfigError, match=r"p.j2, line 3"):
        prompts.render("p.j2", {})


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.j2").write_bytes(b"{% block user %}caf\xe9{% endblock %}")
    with pytest.raises(ConfigError, match=r"p.j2"):
        Prompts(tmp_path).render("p.j2", {})


def test_a_file_without_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of the blocks system, user, assistant"):
        write(tmp_path, "p.j2", "just text").render("p.j2", {})


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        Prompts(tmp_path / "missing")


def test_the_digest_follows_the_text_of_the_file(tmp_path: Path) -> None:
    one = write(tmp_path / "a", "p.j2", "{% block user %}x{% endblock %}").digest("p.j2")
    same = write(tmp_path / "b", "p.j2", "{% block user %}x{% endblock %}").digest("p.j2")
    other = write(tmp_path / "c", "p.j2", "{% block user %}y{% endblock %}").digest("p.j2")
    assert one == same != other


@pytest.mark.parametrize("file", sorted(BUILTIN.rglob("*.j2")), ids=lambda file: file.stem)
def test_every_built_in_prompt_is_well_formed(file: Path) -> None:
    name = file.relative_to(BUILTIN).as_posix()
    try:
        Prompts().render(name, {})
    except RecipeError as error:
        assert "undefined" in str(error)  # noqa: PT017  # a ConfigError fails the test

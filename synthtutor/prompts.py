"""Prompts as Jinja files that a user can override one by one from a folder.

A template has up to three blocks, ``system``, ``user`` and ``assistant``, each of which becomes a
message. Stable text belongs at the top of ``system``: vendors cache prompts by their prefix.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    FunctionLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.loaders import split_template_path

from synthtutor.errors import ConfigError, RecipeError
from synthtutor.messages import Message

__all__ = ["Prompts"]

BUILTIN = Path(__file__).parent / "recipes" / "prompts"
_ROLES = ("system", "user", "assistant")


class Prompts:
    """The built-in prompts; before them those of the ``recipe``, and first those in ``folders``, in order."""

    def __init__(self, *folders: Path, recipe: Traversable | None = None) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise ConfigError(f"prompts: {folder} is not a folder")
        own = () if recipe is None else (recipe,)
        if recipe is not None and not recipe.is_dir():
            raise ConfigError(f"the recipe's own prompts: {recipe} is not a folder")
        self._environment = Environment(
            loader=ChoiceLoader([_loader(each) for each in (*folders, *own, BUILTIN)]),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701  # the output is a prompt, not HTML
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._template = lru_cache(maxsize=None)(self._load)
        self.digest = lru_cache(maxsize=None)(self._digest)

    def render(self, name: str, values: Mapping[str, object]) -> Sequence[Message]:
        """The messages of template ``name``.

        Raises ConfigError where the file is missing or malformed and RecipeError where it uses a
        value that it was not given; both name the file.
        """
        template = self._template(name)
        try:
            context = template.new_context(dict(values))
            messages = [
                Message(role, "".join(template.blocks[role](context)).strip())  # type: ignore[arg-type]
                for role in _ROLES
                if role in template.blocks
            ]
        except TemplateNotFound as error:
            raise ConfigError(f"prompt {_place(error, name)}: there is no {error.name}") from error
        except TemplateError as error:
            raise RecipeError(f"prompt {_place(error, name)}: {error.message}") from error
        except Exception as error:  # what an expression in the template raises
            said = f"{type(error).__name__}: {error}"
            raise RecipeError(f"prompt {_place(error, name)}: {said}") from error
        if not messages:
            raise ConfigError(f"prompt {name}: has none of the blocks system, user, assistant")
        return messages

    @staticmethod
    def refuse_idle(folder: Path) -> None:
        """Raise ConfigError for a file in ``folder`` that replaces no built-in prompt.

        A file that another one there names, to include it, is none of those.
        """
        known = sorted(path.relative_to(BUILTIN).as_posix() for path in BUILTIN.rglob("*.j2"))
        own = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file()
        }
        if not own.keys() & {*known}:
            raise ConfigError(
                f"prompts: no file in {folder} is called as a prompt is, such as {known[-1]}; "
                "`synthtutor recipes show NAME` has the names"
            )
        texts = {name: path.read_bytes() for name, path in own.items() if name.endswith(".j2")}
        for name in texts.keys() - {*known}:
            if not any(name.encode() in text for text in texts.values()):
                alike = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"; did you mean {alike[0]}?" if alike else ""
                raise ConfigError(f"prompts: {folder / name} replaces no prompt{hint}")

    def _load(self, name: str) -> Template:
        try:
            template = self._environment.get_template(name)
        except TemplateNotFound as error:
            raise ConfigError(f"prompt {name}: there is no such file") from error
        except TemplateSyntaxError as error:
            where = f"{error.filename or name}, line {error.lineno}"
            raise ConfigError(f"prompt {where}: {error.message}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"prompt {name}: not UTF-8 text; save it as UTF-8") from error
        for block in template.blocks.keys() - {*_ROLES}:
            if alike := difflib.get_close_matches(block, _ROLES, n=1, cutoff=0.7):
                raise ConfigError(
                    f"prompt {template.filename}: no block {block!r} is sent; did you mean {alike[0]!r}?"
                )
        return template

    def _digest(self, name: str) -> str:
        """A short name for the template's text: it changes when the file does."""
        loader = self._environment.loader
        assert loader is not None  # noqa: S101  # set in __init__
        source = loader.get_source(self._environment, name)[0]
        return blake2b(source.encode(), digest_size=6).hexdigest()


def _loader(folder: Traversable) -> BaseLoader:
    """Of a folder, also of one that is no directory: a package may be imported from an archive."""
    if isinstance(folder, Path):
        return FileSystemLoader(folder)

    def found(name: str) -> tuple[str, str, None] | None:
        file = folder.joinpath(*split_template_path(name))
        return (file.read_text("utf-8"), str(file), None) if file.is_file() else None

    return FunctionLoader(found)


def _place(error: Exception, name: str) -> str:
    """The file and line of the innermost template that an error came from."""
    place, traceback = name, error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(traceback.tb_lineno)
            place = f"{template.filename or name}, line {line}"
        traceback = traceback.tb_next
    return place

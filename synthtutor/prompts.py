"""Prompts as Jinja files that a user can override one by one from a folder.

A template has up to three blocks, ``system``, ``user`` and ``assistant``, each of which becomes a
message. Stable text belongs at the top of ``system``: vendors cache prompts by their prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)

from synthtutor.errors import ConfigError, RecipeError
from synthtutor.messages import Message

__all__ = ["Prompts"]

BUILTIN = Path(__file__).parent / "recipes" / "prompts"
_ROLES = ("system", "user", "assistant")


class Prompts:
    """The built-in prompts, with those in ``folders`` (looked through in order) before them."""

    def __init__(self, *folders: Path) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise ConfigError(f"prompts: {folder} is not a folder")
        self._environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder) for folder in (*folders, BUILTIN)]),
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
        except TemplateError as error:
            raise RecipeError(f"prompt {name}: {error.message}") from error
        if not messages:
            raise ConfigError(f"prompt {name}: has none of the blocks system, user, assistant")
        return messages

    def _load(self, name: str) -> Template:
        try:
            return self._environment.get_template(name)
        except TemplateNotFound as error:
            raise ConfigError(f"prompt {name}: there is no such file") from error
        except TemplateSyntaxError as error:
            where = f"{error.filename or name}, line {error.lineno}"
            raise ConfigError(f"prompt {where}: {error.message}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"prompt {name}: not UTF-8: {error}") from error

    def _digest(self, name: str) -> str:
        """A short name for the template's text: it changes when the file does."""
        loader = self._environment.loader
        assert loader is not None  # noqa: S101  # set in __init__
        source = loader.get_source(self._environment, name)[0]
        return blake2b(source.encode(), digest_size=6).hexdigest()

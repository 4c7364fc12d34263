"""A recipe run on some of its rows with nobody asked: what `estimate` counts.

Loops, fan-out, growing dialogues, judge calls and controls happen as they do in the run, because
it is the run: the same engine, sessions and prompts, over a journal in a temporary folder. Only
the provider is another. It counts the prompt and answers in form, with as many tokens as such a
reply is expected to have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from synthtutor.config import RunConfig
from synthtutor.engine import Engine, Stop, sample_id
from synthtutor.journal import Journal
from synthtutor.messages import Request, Response, Schema, Usage
from synthtutor.preflight import recipe_rows, rubric_of
from synthtutor.prompts import Prompts
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.recipes.controls import control, control_rows
from synthtutor.recipes.recipe import Recipe
from synthtutor.samplings import PerSample
from synthtutor.session import Role, RunContext, call_at_hand
from synthtutor.sources import Occurrences, limited

__all__ = ["Expected", "Rehearsal", "rehearse"]

_WORDS = [
    "which",
    "part",
    "of",
    "the",
    "whole",
    "would",
    "you",
    "compare",
    "first",
    "and",
    "why",
    "does",
    "that",
    "help",
    "you",
    "here",
]
_TOKENS_PER_WORD = 1.15


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a reply is expected to be, in tokens: what is read, and what is thought before it."""

    visible: float
    reasoning: float = 0.0


# Of a role, a prompt and the request itself.
Lengths = Callable[[str, str, Request], Expected]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was counted: the calls of each rehearsed sample, and of how many rows they stand.

    ``samples`` are an even choice of all rows; ``also`` are those asked for besides. ``controls``
    are all of the run's.
    """

    rows: int
    samples: PerSample
    also: PerSample
    controls: PerSample


class Rehearsing:
    """The provider that counts instead of paying."""

    def __init__(
        self, count: Callable[[Request], int], lengths: Lengths, capabilities: Capabilities
    ) -> None:
        self._count = count
        self._lengths = lengths
        self._capabilities = capabilities

    async def complete(self, request: Request) -> Response:
        """A reply in form, of the expected length."""
        site = call_at_hand.get()
        expected = self._lengths(site.role, site.stage, request)
        out = min(expected.visible + expected.reasoning, request.settings.max_tokens)
        text = in_form(request.schema, expected.visible, random.Random(request.digest()))
        usage = Usage(
            self._count(request), round(out), reasoning_tokens=round(min(expected.reasoning, out))
        )
        return Response(text, usage=usage, model=request.model_name)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # of one model
        """The real provider's."""
        return self._capabilities

    async def aclose(self) -> None:
        """Nothing to close."""


async def rehearse(
    config: RunConfig,
    recipe: Recipe[Any],
    roles: Mapping[str, Role],
    *,
    rows: Iterable[Any] | None = None,
    most: int = 200,
    also: Collection[bytes] = frozenset(),
) -> Rehearsal:
    """Rehearse at most ``most`` rows, evenly chosen, and the samples whose ids are in ``also``.

    ``roles`` are asked as they are, so their providers should be `Rehearsing`.
    """
    every = limited(recipe_rows(config, recipe).rows if rows is None else rows, config.n)
    even, wanted, count = _chosen(recipe.name, every, most, also)
    rubric = rubric_of(config, recipe)
    prompts = Prompts(*[Path(config.prompts)] if config.prompts else [])
    parts: list[PerSample] = []
    planted = (
        control_rows(rubric, config.controls, config.seed)
        if rubric is not None and "judge" in roles
        else ()
    )
    for kind, function, chosen in (
        ("sample", recipe.function, even),
        ("sample", recipe.function, wanted),
        ("control", control, planted),
    ):
        with _scratch() as path:
            async with Journal(path, ballast_bytes=0) as journal:
                await journal.begin("{}")
                context = RunContext(
                    journal, roles, prompts, config.seed, rubric=rubric, options=config.options
                )
                engine: Engine[Any] = Engine(
                    recipe.name, function, context, Stop(), kind=kind, dry=True, max_failed=1.0
                )
                await engine.run(chosen)
            reading = Reading.open(path)
            try:
                parts.append(reading.per_sample(kind))
            finally:
                reading.close()
    samples, others, controls = parts
    return Rehearsal(count, samples.of(len(even)), others, controls)


@contextmanager
def _scratch() -> Any:
    with TemporaryDirectory(prefix="synthtutor-estimate-") as folder:
        yield Path(folder) / "journal.sqlite"


def _chosen(
    name: str, rows: Iterable[Any], most: int, also: Collection[bytes]
) -> tuple[list[Any], list[Any], int]:
    """Every k-th row, with k doubled whenever that would be too many; and the wanted ones."""
    even: list[Any] = []
    wanted: list[Any] = []
    step = 1
    count = 0
    with Occurrences() as occurrences:
        for row in rows:
            if count % step == 0:
                even.append(row)
                if len(even) == 2 * most:
                    even, step = even[::2], 2 * step
            if also and sample_id(name, "sample", row, occurrences) in also:
                wanted.append(row)
            count += 1
    return even, wanted, count


def in_form(schema: Schema | None, tokens: float, chance: random.Random) -> str:
    """Text of about so many tokens: words, or JSON whose strings have as many words as it takes."""
    if schema is None:
        return _words(tokens / _TOKENS_PER_WORD, chance)
    definition = schema.strict
    bare = _value(definition, definition.get("$defs", {}), chance, 1)
    strings = max(1, _strings(bare))
    structure = len(orjson.dumps(bare)) / 4
    each = max(1.0, 1 + (tokens - structure) / strings / _TOKENS_PER_WORD)
    return orjson.dumps(_value(definition, definition.get("$defs", {}), chance, each)).decode()


def _words(count: float, chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=max(1, round(count))))


def _strings(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(_strings, value.values()))
    if isinstance(value, list):
        return sum(map(_strings, value))
    return isinstance(value, str)


def _value(
    schema: Mapping[str, Any], defs: Mapping[str, Any], chance: random.Random, words: float
) -> object:
    if "$ref" in schema:
        return _value(defs[schema["$ref"].rsplit("/", 1)[-1]], defs, chance, words)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _value(schema[several][0], defs, chance, words)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    low = schema.get("minimum", 0)
    match schema.get("type", "object"):
        case "string":
            text = _words(words, chance)
            text = text.ljust(schema.get("minLength", 0), ".")
            return text[: schema.get("maxLength", len(text))]
        case "boolean":
            return chance.random() < 0.8
        case "integer" | "number":
            return min(low + 1, schema.get("maximum", low + 1))
        case "array":
            count = max(1, schema.get("minItems", min(3, schema.get("maxItems", 3))))
            return [_value(schema["items"], defs, chance, words) for _ in range(count)]
        case "null":
            return None
    fields = schema.get("properties", {})
    return {name: _value(own, defs, chance, words) for name, own in fields.items()}

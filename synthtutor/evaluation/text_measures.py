"""How alike replies and references are in their letters and words: chrF, BLEU and ROUGE-L.

Two good replies to one student can share hardly a word, so these say little of a tutor's worth;
they stand beside the other figures because earlier work reports them. chrF and BLEU are sacrebleu's,
with the signature that says how they were computed; ROUGE-L is rouge-score's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from synthtutor.errors import ConfigError

__all__ = ["needs_text_measures", "text_measures"]


def text_measures(replies: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """``chrf`` and ``bleu`` of the corpus and the mean ``rouge_l`` (F1), all from 0 to 100.

    Raises ConfigError where the libraries are not installed, ValueError for no pairs.
    """
    if not replies or len(replies) != len(references):
        raise ValueError("give as many references as replies, at least one")
    bleu_of, chrf_of, scorer_of = _libraries()
    # Below eight words a reply often has no sequence of four in common with any reference.
    chrf, bleu = chrf_of(), bleu_of(effective_order=True)
    scorer = scorer_of(["rougeL"], use_stemmer=True)
    pairs = zip(references, replies, strict=True)
    overlap = [scorer.score(one, other)["rougeL"].fmeasure for one, other in pairs]
    found = {
        "references": len(replies),
        "chrf": round(chrf.corpus_score(replies, [references]).score, 3),
        "bleu": round(bleu.corpus_score(replies, [references]).score, 3),
        "rouge_l": round(100 * math.fsum(overlap) / len(overlap), 3),
    }
    return {
        **found,
        "signatures": {"chrf": str(chrf.get_signature()), "bleu": str(bleu.get_signature())},
    }


def needs_text_measures() -> None:
    """Raise ConfigError, saying how to install them, where the libraries are not there."""
    _libraries()


def _libraries() -> tuple[Any, Any, Any]:
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise ConfigError(
            f'text measures need {error.name}: pip install "synthtutor[evaluation]"'
            " (or leave them out: --no-text)"
        ) from None
    return BLEU, CHRF, RougeScorer

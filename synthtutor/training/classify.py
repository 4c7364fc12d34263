"""A grader: sequence classification with LoRA, its label map saved beside the adapter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing
from synthtutor.training.arguments import trainer_arguments
from synthtutor.training.data import Example
from synthtutor.training.devices import device_for
from synthtutor.training.distributed import refusals_told
from synthtutor.training.embedded import checkpoint_of
from synthtutor.training.fitting import Result, callbacks_for, fit
from synthtutor.training.grades import graded
from synthtutor.training.job import Job, is_main
from synthtutor.training.models import (
    adapter_for,
    classifier,
    loaded_tokenizer,
    resize,
    save_new_rows_only,
    seeded,
)
from synthtutor.training.quiet import quiet
from synthtutor.training.settings import Settings
from synthtutor.training.splits import Division

__all__ = ["LABELS", "classify_trainer", "labels_of", "train_classify"]

LABELS = "labels.json"


def train_classify(job: Job) -> Result:
    """Train a grader; what ``metrics.json`` says, with accuracy, macro-F1 and the confusion matrix.

    PEFT does not save what the labels are called, so ``labels.json`` does.
    """
    with quiet(), refusals_told(job.settings):
        return _classified(job)


def _classified(job: Job) -> Result:
    trainer, tokenizer, sides, labels, cut = classify_trainer(job)
    if is_main():
        with replacing(job.out / LABELS) as path:
            path.write_bytes(orjson.dumps(labels))

    def confusions(trained: Any) -> dict[str, Any]:
        held = sides["test"] if sides["test"] is not None else sides["validation"]
        if held is None:
            return {}
        found = trained.predict(held)
        guessed = found.predictions.argmax(-1).tolist()
        counts = Counter(str(example.row["label"]) for example in job.division.train)
        often = counts.most_common(1)[0][0]
        return {
            "labels": labels,
            "grades": graded(held["label"], guessed, labels),
            "majority_class": {
                "label": often,
                "grades": graded(held["label"], [labels.index(often)] * len(guessed), labels),
            },
        }

    return fit(
        trainer, job, tokenizer, test=sides["test"], notes={"rows_cut": cut}, after=confusions
    )


def classify_trainer(job: Job) -> tuple[Any, Any, dict[str, Any], list[str], dict[str, int]]:
    """The trainer, its tokenizer, the rows of each side (None where none), the labels, and rows cut."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    settings, device = job.settings, device_for(job.settings)
    labels = labels_of(
        [*job.division.train, *job.division.validation, *job.division.test], settings
    )
    _all_learnable(job.division, labels)
    checkpoint = checkpoint_of(job.model)
    tokenizer, new = loaded_tokenizer(checkpoint, settings)
    sides, cut = {}, {}
    for name in ("train", "validation", "test"):
        examples = getattr(job.division, name)
        sides[name], cut[name] = _tokenized(examples, tokenizer, labels, settings.max_length)
    seeded(settings.seed)  # the fresh head is drawn at random
    model = classifier(checkpoint, settings, device, labels, tokenizer.pad_token_id)
    resize(model, tokenizer)
    adapter = adapter_for(
        model, settings, "classify", tokenizer.convert_tokens_to_ids(new) if new else ()
    )
    if adapter is not None:
        from peft import get_peft_model

        model = get_peft_model(model, adapter)
        if new:
            save_new_rows_only(model)
    given = trainer_arguments(
        settings,
        job.out,
        device,
        evaluates=sides["validation"] is not None,
        resuming=job.checkpoint is not None,
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**given),
        train_dataset=sides["train"],
        eval_dataset=sides["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: _summary(found, labels),
        callbacks=callbacks_for(job),
    )
    return trainer, tokenizer, sides, labels, cut


def labels_of(examples: Sequence[Example], settings: Settings) -> list[str]:
    """The labels in order: numbers by size, texts by alphabet.

    Raises ConfigError where there is only one, or another number of them than ``settings.labels``.
    """
    found = {str(example.row["label"]) for example in examples}  # 1 and "1" are the same
    numbers = all(re.fullmatch(r"-?[0-9]+", label) for label in found)
    labels = sorted(found, key=int if numbers else None)
    if len(labels) < 2:
        raise ConfigError(
            f"label: all rows have the same one, {labels[0]!r}: nothing to tell apart"
        )
    if settings.labels is not None and len(labels) != settings.labels:
        shown = ", ".join(labels[:8])
        raise ConfigError(
            f"label: the rows have {len(labels)} labels ({shown}), {settings.labels} are set"
        )
    return labels


def _all_learnable(division: Division, labels: Sequence[str]) -> None:
    """Raise ConfigError for a label of held-out rows that no training row has."""
    learned = {str(example.row["label"]) for example in division.train}
    if lacking := [label for label in labels if label not in learned]:
        raise ConfigError(
            f"label: no training row has {', '.join(map(repr, lacking))}, but held-out rows do: it "
            "could never be said; give more rows of it, or leave it out"
        )


def _tokenized(
    examples: Sequence[Example], tokenizer: Any, labels: Sequence[str], max_length: int
) -> tuple[Any, int]:
    """The rows as tokens (None where there are none), and how many were longer and are cut."""
    from datasets import Dataset

    if not examples:
        return None, 0
    number = {label: at for at, label in enumerate(labels)}
    texts = [example.row["input"] for example in examples]
    tokens = tokenizer(texts, truncation=True, max_length=max_length)
    whole = tokenizer(texts)["input_ids"]
    rows = [
        {"input_ids": ids, "attention_mask": mask, "label": number[str(example.row["label"])]}
        for ids, mask, example in zip(
            tokens["input_ids"], tokens["attention_mask"], examples, strict=True
        )
    ]
    return Dataset.from_list(rows), sum(len(ids) > max_length for ids in whole)


def _summary(found: Any, labels: Sequence[str]) -> dict[str, float]:
    grades = graded(found.label_ids.tolist(), found.predictions.argmax(-1).tolist(), labels)
    return {"accuracy": grades["accuracy"], "macro_f1": grades["macro_f1"]}

"""The model card: what was trained, on which data, judged by whom, and how far it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from synthtutor.export.destination import replacing
from synthtutor.training.hub import on_hub

if TYPE_CHECKING:
    from synthtutor.training.job import Job

__all__ = ["lineage", "write_card"]


def lineage(job: Job) -> dict[str, Any]:
    """Where the rows came from: the run beside the data, and what its samples say of themselves.

    Only what is known is told: data without a run has a file's name, its digest and no more.
    """
    folder = job.data if job.data.is_dir() else job.data.parent
    known = [
        e.metadata for e in (*job.division.train, *job.division.validation, *job.division.test)
    ]
    found: dict[str, Any] = {"data": job.data.name, "digests": job.division.record["digests"]}
    run = _run_beside(folder)
    if run:
        found["run"] = folder.resolve().name
        found |= {name: run[name] for name in ("recipe", "models", "rubric", "seed") if name in run}
    samples = [m.get("lineage") or {} for m in known]
    found["recipes"] = _counted(said.get("recipe") for said in samples)
    found["rubrics"] = _counted(m.get("rubric") for m in known)
    found["models_by_role"] = _counted(
        f"{role}: {model}" for said in samples for role, model in sorted(_roles(said))
    )
    found["demonstration_only_rows"] = sum(bool(said.get("demonstration_only")) for said in samples)
    return {name: value for name, value in found.items() if value not in ({}, None)}


def write_card(job: Job, result: Mapping[str, Any]) -> None:
    """Write ``README.md`` into the folder, with the metadata that a model hub reads."""
    with replacing(job.out / "README.md") as path:
        path.write_text(_card(job, result), encoding="utf-8")


def _card(job: Job, result: Mapping[str, Any]) -> str:
    known = lineage(job)
    head = {
        # The hub refuses a card whose base is no name of its own.
        **({"base_model": job.model} if on_hub(job.model) else {}),
        "library_name": "peft" if job.settings.lora_rank else "transformers",
        "tags": ["synthtutor", job.task, "education"],
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {job.out.resolve().name}",
        f"Trained by `synthtutor train {job.task}` from `{job.model}`"
        + (f" with the preset `{job.preset}`." if job.preset else "."),
    ]
    if known["demonstration_only_rows"]:
        parts.append(
            f"**Not for use:** {known['demonstration_only_rows']} rows were written by a model that "
            "only shows the machinery."
        )
    parts += ["## Data", *_listed(known), *_divided(job), "## Result", *_measured(result)]
    given = yaml.safe_dump(job.settings.model_dump(mode="json", exclude_none=True), sort_keys=False)
    return "\n\n".join([*parts, "## Settings", f"```yaml\n{given}```"]) + "\n"


def _divided(job: Job) -> list[str]:
    record = job.division.record
    rows = ", ".join(f"{n:,} {side}" for side, n in record["rows"].items())
    if "evaluation" in record:
        told = f"validation rows from {Path(record['evaluation']).name}"
        if record["contaminated_rows"]:
            told += f"; {len(record['contaminated_rows'])} training rows repeat them, by permission"
    elif "given" in record:
        told = f"divided by the export {record['given']}"
    else:
        told = f"no two sides share a {' or '.join(record['groups'])}"
        if record["stratum"]:
            told += f"; divided alike by {record['stratum']}"
    return [f"Rows: {rows} ({told}; seed {job.settings.seed}). `splits.json` has the whole record."]


def _measured(result: Mapping[str, Any]) -> list[str]:
    loss = result["held_out_loss"]
    lines = [f"- steps: {result['steps']:,} in {result['seconds']:,} s"]
    if loss["before"] is not None:
        lines.append(
            f"- validation loss: {loss['before']:.3f} before, {loss['best']:.3f} at its best"
            + ("" if loss["best"] < loss["before"] else ": training has not lowered it")
        )
    lines += [
        f"- {side} rows {what}: {n:,}"
        for name, what in (("rows_cut", "cut at max_length"), ("rows_left_out", "left out"))
        for side, n in result.get(name, {}).items()
        if n
    ]
    lines += [
        f"- test {name}: {value:.4g}"
        for name, value in result["test"].items()
        if isinstance(value, int | float)
    ]
    return ["\n".join(lines)]


def _listed(known: Mapping[str, Any]) -> list[str]:
    return [f"```yaml\n{yaml.safe_dump(dict(known), sort_keys=False, allow_unicode=True)}```"]


def _run_beside(folder: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _counted(values: Iterable[Any]) -> dict[str, int]:
    return dict(Counter(str(value) for value in values if value).most_common())


def _roles(said: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(call["role"], call["model"]) for call in said.get("calls") or []}

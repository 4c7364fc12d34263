"""``synthtutor evaluate``: what a tutor's replies, or a classifier's predictions, are worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthtutor.cli import run_options as option

if TYPE_CHECKING:
    from synthtutor.evaluation.classifiers import Classification
    from synthtutor.evaluation.conversations import Conversation
    from synthtutor.evaluation.evaluate import Evaluation, Judged

__all__ = ["evaluate"]


def evaluate(
    file: Annotated[
        Path | None, typer.Argument(help="Replies (as `predict` writes them), or predictions.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Without a file: the tutor to ask first.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="With --model: the conversations.")] = None,
    judge: Annotated[
        str | None, typer.Option(help="provider/model that gives levels; none without it.")
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(help="Graded pack or YAML file [tutor-evaluation, personalization]. Repeatable."),
    ] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="A question for each scale, not one a pack.")
    ] = False,
    label: Annotated[str | None, typer.Option(help="A classifier's file: the column of labels.")] = None,
    prediction: Annotated[
        str | None, typer.Option(help="A classifier's file: the column of predictions.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="A classifier's file: what belongs together, for intervals.")
    ] = None,
    goals: Annotated[
        Path | None, typer.Option(help="YAML file of goals [the TARA guide's, as far as known].")
    ] = None,
    text: Annotated[
        bool, typer.Option("--text/--no-text", help="Measure replies beside their references.")
    ] = True,
    resamples: Annotated[int, typer.Option(help="Resamples for the intervals.", min=1)] = 1000,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write to [runs/evaluation-…].")
    ] = None,
    budget: option.Budget = None,
    price: option.Price = None,
    concurrency: option.Concurrency = None,
    seed: option.Seed = None,
    prompts: option.Prompts = None,
    base_url: option.BaseUrl = None,
    temperature: option.JudgeTemperature = None,
    max_tokens: option.JudgeMaxTokens = None,
    provider_option: option.ProviderOption = None,
    batch: option.Batch = None,
    retry_failed: option.RetryFailed = False,
    yes: option.Yes = False,
    json: option.Json = False,
) -> int:  # fmt: skip
    """Judge, check, time and compare with references; the same command again resumes."""
    given = locals().copy()
    from synthtutor.cli.grading import NotJudged
    from synthtutor.preflight import make_folder

    source = _source(given)
    folder = out or _folder(source, judge)
    make_folder(folder)
    try:
        replies = _asked(given, folder) if file is None else file
        found, judged, rows = _evaluated(given, replies, folder)
    except NotJudged as stopped:
        return stopped.code
    _written(found, judged, rows, folder)
    _said(found, folder, json)
    return 0


def _source(given: Mapping[str, Any]) -> Path:
    """The file that an evaluation is of. Raises ConfigError for options that do not go together."""
    from synthtutor.errors import ConfigError
    from synthtutor.sources import existing

    file, test = given["file"], given["test"]
    asks = [value is not None for value in (given["model"], test)]
    if any(asks) if file is not None else not all(asks):
        raise ConfigError("give a file of replies, or --model with --test to ask for them")
    if (given["label"] is None) != (given["prediction"] is None):
        raise ConfigError("--label and --prediction go together")
    if given["label"] and (given["judge"] or file is None):
        raise ConfigError("--label is for a classifier's file, which no judge is asked about")
    source: Path = test if file is None else file
    existing(source)
    return source


def _asked(given: Mapping[str, Any], folder: Path) -> Path:
    """Have the model reply first; the file of replies."""
    from synthtutor.cli.grading import NotJudged
    from synthtutor.cli.predict import predicted

    path = folder / "replies.jsonl"
    of_judge = ("temperature", "max_tokens")
    code = predicted({k: v for k, v in given.items() if k not in of_judge}, path, folder / "tutor")
    if code:
        raise NotJudged(code)
    return path


def _evaluated(
    given: Mapping[str, Any], path: Path, folder: Path
) -> tuple[Evaluation, Judged | None, list[Conversation]]:
    from synthtutor.evaluation.conversations import replies, sound
    from synthtutor.evaluation.evaluate import Extras, evaluate, extras_of
    from synthtutor.evaluation.goals import TARA, load_goals
    from synthtutor.evaluation.text_measures import needs_text_measures

    wanted = load_goals(given["goals"] or TARA)
    classifier = _classified(given, path)
    rows = [] if classifier else sound(replies(path))
    if given["text"] and any(row.reply and row.reference for row in rows):
        needs_text_measures()  # before a judge is paid
    judged = None
    if given["judge"]:
        from synthtutor.cli.grading import judged as grading

        judged = grading(path, folder / "judge", given)
    found = evaluate(
        path.name,
        rows,
        extras=Extras() if classifier else extras_of(path),
        judged=judged,
        classifier=classifier,
        goals=wanted,
        text=given["text"] and not classifier,
        resamples=given["resamples"],
        seed=given["seed"] or 0,
    )
    return found, judged, rows


def _classified(given: Mapping[str, Any], path: Path) -> Classification | None:
    if given["label"] is None:
        return None
    from synthtutor.evaluation.classifiers import classification, labelled

    rows = labelled(path, given["label"], given["prediction"], given["group"])
    return classification(rows, resamples=given["resamples"], seed=given["seed"] or 0)


def _written(
    found: Evaluation, judged: Judged | None, rows: list[Conversation], folder: Path
) -> None:
    import orjson

    from synthtutor.evaluation.report import confusion_svg, evaluation_page
    from synthtutor.export.destination import replacing
    from synthtutor.export.lines import encode, write_lines

    option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    with replacing(folder / "evaluation.json") as path:
        path.write_bytes(orjson.dumps(found.to_dict(), option=option))
    with replacing(folder / "evaluation.html") as path:
        path.write_text(evaluation_page(found), encoding="utf-8")
    if found.classifier:
        with replacing(folder / "confusion.svg") as path:
            path.write_text(confusion_svg(found.classifier.confusion), encoding="utf-8")
    if judged:
        scored = (
            {"id": r.id, "student": r.student, "scores": judged.levels.get(r.id, {})} for r in rows
        )
        write_lines((encode(row, name=row["id"]) for row in scored), folder / "scores.jsonl")


def _said(found: Evaluation, folder: Path, json: bool) -> None:
    if json:
        import orjson

        value = {"event": "evaluation", **found.to_dict()}
        typer.echo(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode())
        return
    from synthtutor.cli.show import table

    typer.echo("")
    lines = [
        (each.name, f"{_short(each.mean.value)} of {each.highest}", f"{each.answered} answered")
        for each in found.scales.values()
    ]
    if found.classifier:
        made = found.classifier
        beside = f"always “{made.majority_label}”: {_short(made.majority['macro_f1'])}"
        lines.append(("accuracy", _short(made.accuracy.value), f"{made.rows} rows"))
        lines.append(("macro-F1", _short(made.macro_f1.value), beside))
    typer.echo("\n".join([*table(lines), ""] if lines else []))
    goals = [
        (g.goal.name, f"{g.goal.op} {g.goal.value:g}{g.goal.unit}", _short(g.value), g.state)
        for g in found.goals
    ]
    typer.echo("\n".join(table(goals)))
    typer.echo(f"\nin files: {folder / 'evaluation.html'}, evaluation.json")


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _folder(source: Path, judge: str | None) -> Path:
    import re

    name = f"evaluation-{source.stem}-{(judge or '').removeprefix('judge=')}"
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")

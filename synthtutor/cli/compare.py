"""``synthtutor compare``: two systems, or three, on the same students."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthtutor.cli import run_options as option

if TYPE_CHECKING:
    from synthtutor.evaluation.compare import Comparison, System

__all__ = ["compare"]


def compare(
    files: Annotated[
        list[Path], typer.Argument(help="Two or three files of replies, or of scores.")
    ],
    name: Annotated[
        list[str] | None, typer.Option(help="A system's name, in the order of the files. Repeatable.")
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="What is compared [personalization, relevance]. Repeatable.")
    ] = None,
    student: Annotated[str, typer.Option(help="With scores: the column that says who.")] = "student",
    judge: Annotated[
        str | None, typer.Option(help="provider/model that scores replies; files of scores need none.")
    ] = None,
    pack: Annotated[
        list[str] | None, typer.Option(help="Graded pack or YAML file [personalization]. Repeatable.")
    ] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="A question for each scale, not one a pack.")
    ] = False,
    resamples: Annotated[int, typer.Option(help="Resamples for the intervals.", min=1)] = 5000,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write to [runs/comparison-…].")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="US dollars that judging each file may cost.")
    ] = None,
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
    """Compare systems student by student; with a judge, the same command again resumes."""
    given = locals().copy()
    from synthtutor.cli.grading import NotJudged
    from synthtutor.evaluation.compare import compare as compared
    from synthtutor.evaluation.statistics import needs_scipy
    from synthtutor.preflight import make_folder

    needs_scipy()
    names = _names(files, name)
    folder = out or _folder(names)
    scores = score or ["personalization", "relevance"]
    try:
        systems = [
            _system(path, system, scores, folder, given)
            for path, system in zip(files, names, strict=True)
        ]
    except NotJudged as stopped:
        return stopped.code
    found = compared(
        systems,
        scores,
        judge=judge.removeprefix("judge=") if judge else None,
        resamples=resamples,
        seed=seed or 0,
    )
    make_folder(folder)
    _report(found, folder, json)
    return 0


def _names(files: list[Path], names: list[str] | None) -> list[str]:
    from synthtutor.errors import ConfigError
    from synthtutor.sources import existing

    if not 2 <= len(files) <= 3:
        raise ConfigError(f"give two files of replies, or three; here are {len(files)}")
    for path in files:
        existing(path)
    found = names or [path.stem for path in files]
    if len(found) != len(files):
        raise ConfigError(f"{len(found)} names for {len(files)} files: give one --name for each")
    if len({*found}) < len(found):
        raise ConfigError(f"two systems are called {found[0]}: name each with --name")
    return found


def _system(
    path: Path, name: str, scores: list[str], folder: Path, given: Mapping[str, Any]
) -> System:
    """A system's scores: from its file, or from the judge."""
    from synthtutor.evaluation.compare import scored_file, scored_replies

    if given["judge"] is None:
        return scored_file(path, scores, name=name, student=given["student"])
    from synthtutor.cli.grading import judged
    from synthtutor.evaluation.conversations import replies, sound

    rows = sound(replies(path))
    options = {**given, "pack": given["pack"] or ["personalization"]}
    found = judged(path, folder / f"judge-{_plain(name)}", options)
    return scored_replies(path, rows, found, scores, name=name)


def _report(found: Comparison, folder: Path, json: bool) -> None:
    import orjson

    from synthtutor.evaluation.report import comparison_page
    from synthtutor.export.destination import replacing

    with replacing(folder / "comparison.json") as path:
        path.write_bytes(orjson.dumps(found.to_dict(), option=orjson.OPT_INDENT_2))
    with replacing(folder / "comparison.html") as path:
        path.write_text(comparison_page(found), encoding="utf-8")
    if json:
        typer.echo(orjson.dumps({"event": "comparison", **found.to_dict()}).decode())
        return
    for pair in found.pairs:
        typer.echo(f"\n{pair.verdict}")
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"\nin files: {folder / 'comparison.html'}, comparison.json")


def _folder(names: list[str]) -> Path:
    return Path("runs") / _plain(f"comparison-{'-'.join(names)}")


def _plain(name: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")

"""``synthtutor calibrate``: what a judge is worth, measured on labels that people gave."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthtutor.cli import run_options as option

if TYPE_CHECKING:
    from synthtutor.calibration.calibrate import Calibration
    from synthtutor.config import RunConfig

__all__ = ["calibrate"]

RECIPE = "synthtutor.recipes.calibration:CALIBRATION"


def calibrate(
    labels: Annotated[
        Path,
        typer.Argument(
            help="MRBench, Bridge or StepVerify as published, or your own CSV, JSONL, JSON or Parquet."
        ),
    ],
    judge: Annotated[str, typer.Option("--judge", "-m", help="The judge: provider/model.")],
    rubric: Annotated[
        str | None, typer.Option(help="Rubric pack [that of the published form].")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="DIMENSION=COLUMN of people's labels in your own file. Repeatable."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="text|context|id|group|writer=COLUMN of your own file. Repeatable."),
    ] = None,
    dimension: Annotated[
        list[str] | None, typer.Option(help="Ask about this one only. Repeatable.")
    ] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="A question for each dimension, not one for all.")
    ] = False,
    again: Annotated[
        float | None, typer.Option(help="Share of the items asked three times [0.3].")
    ] = None,
    own: Annotated[
        list[str] | None,
        typer.Option(help="A writer in the data that is the judge itself. Repeatable."),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples for the intervals.")] = 1000,
    n: Annotated[int | None, typer.Option("-n", help="Only the first so many items.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder [runs/calibration-…].")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would cost, and ask nothing.")
    ] = False,
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
    """Compare a judge with people, and with itself; the same command again resumes."""
    given = locals().copy()
    from synthtutor.cli.running import execute

    config = _configured(given)
    folder = out or _folder(labels, judge)
    if estimate:
        return _estimated(config, folder, json)
    code = execute(
        config,
        folder,
        retry_failed=retry_failed,
        yes=yes,
        samples=False,
        as_json=json,
        argv=sys.argv,
    )
    if (folder / "journal.sqlite").is_file():
        _report(_found(config, folder, own or [], resamples), folder, json)
    return code


def _configured(given: dict[str, Any]) -> RunConfig:
    from synthtutor.calibration.datasets import COLUMNS, form_of
    from synthtutor.cli.configuration import configured
    from synthtutor.errors import ConfigError

    labels, form = given["labels"], form_of(given["labels"])
    rubric = given["rubric"] or (form if form != "own" else None)
    if rubric is None:
        raise ConfigError(f"{labels}: not a published form: say --rubric NAME and --label …")
    options = [f"labels={','.join(given['label'])}"] if given["label"] else []
    for pair in given["column"] or []:
        if pair.partition("=")[0] not in COLUMNS.keys() - {"labels"}:
            raise ConfigError(f"--column {pair!r}: write text|context|id|group|writer=COLUMN")
        options.append(pair)
    columns = dict(option.split("=", 1) for option in options)
    asked = given["dimension"] or _labelled(labels, columns, rubric)
    options.append(f"dimensions={','.join(asked)}")
    options += ["mode=apart"] if given["apart"] else []
    options += [f"again={given['again']:g}"] if given["again"] is not None else []
    passed = ("n", "budget", "price", "concurrency", "seed", "prompts", "base_url", "batch")
    return configured(
        RECIPE,
        {name: given[name] for name in (*passed, "provider_option")}
        | {name: _of_judge(given[name]) for name in ("temperature", "max_tokens")}
        | {"model": [f"judge={given['judge'].removeprefix('judge=')}"], "controls": 0}
        | {"rows": labels, "rubric": rubric, "option": options},
    )


def _of_judge(value: float | None) -> list[str]:
    return [] if value is None else [f"judge={value:g}"]


def _labelled(path: Path, columns: dict[str, str], rubric: str) -> list[str]:
    """The pack's dimensions that somebody has labelled in the file."""
    from synthtutor.calibration.datasets import items
    from synthtutor.calibration.labels import dimensions
    from synthtutor.errors import ConfigError
    from synthtutor.rubric import load_rubric
    from synthtutor.sources import BadRow

    said = {n for item in items(path, columns) if not isinstance(item, BadRow) for n in item.labels}
    known = dimensions(load_rubric(rubric))
    if not said & known.keys():
        raise ConfigError(
            f"{path}: people labelled {', '.join(sorted(said)) or 'nothing'}; "
            f"rubric {rubric} asks about {', '.join(known)}"
        )
    return [name for name in known if name in said]


def _folder(labels: Path, judge: str) -> Path:
    import re

    name = f"calibration-{labels.stem}-{judge.removeprefix('judge=')}"
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def _estimated(config: RunConfig, folder: Path, json: bool) -> int:
    from synthtutor import estimating
    from synthtutor.loops import run

    found = run(estimating.estimate(config, folder))
    if json:
        import orjson

        typer.echo(orjson.dumps(found.to_dict(), option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        from rich.console import Console

        from synthtutor.cli.bill import print_estimate

        print_estimate(Console(), found)
    return 0


def _found(config: RunConfig, folder: Path, own: list[str], resamples: int) -> Calibration:
    from synthtutor.calibration.calibrate import calibrate as compared
    from synthtutor.cli.folder import journal_of
    from synthtutor.outputs import finished
    from synthtutor.rubric import load_rubric

    assert config.rubric is not None  # noqa: S101  # set by _configured
    with journal_of(folder) as reading:
        return compared(
            finished(reading, ("rejected", "undetermined", "failed")),
            load_rubric(config.rubric),
            config.models["judge"],
            own=own,
            resamples=resamples,
            seed=config.seed,
        )


def _report(found: Calibration, folder: Path, json: bool) -> None:
    import orjson

    from synthtutor.calibration.tables import markdown
    from synthtutor.export.destination import replacing

    text = markdown(found)
    with replacing(folder / "calibration.json") as path:
        path.write_bytes(orjson.dumps(found.to_dict(), option=orjson.OPT_INDENT_2))
    with replacing(folder / "calibration.md") as path:
        path.write_text(text, encoding="utf-8")
    if json:
        typer.echo(orjson.dumps({"event": "calibration", **found.to_dict()}).decode())
    else:
        typer.echo(f"\n{text}\nin files: {folder / 'calibration.md'}, calibration.json")

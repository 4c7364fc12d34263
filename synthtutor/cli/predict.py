"""``synthtutor predict``: what a tutor says next in each conversation of a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from synthtutor.cli import run_options as option

__all__ = ["RECIPE", "predict", "predicted"]

RECIPE = "synthtutor.evaluation.predict:PREDICTION"
PASSED = (
    *("n", "budget", "price", "concurrency", "seed", "prompts", "base_url", "provider_option"),
    *("temperature", "max_tokens", "batch"),
)


def predict(
    model: Annotated[
        list[str],
        typer.Option(
            "--model", "-m", help="The tutor: provider/model; also reasoner=… and grader=…."
        ),
    ],
    test: Annotated[Path, typer.Option(help="Conversations: JSONL, JSON, CSV or Parquet.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of replies to write (JSONL).")],
    run: Annotated[
        Path | None, typer.Option(help="The run's folder [runs/predict-TEST-MODEL].")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="A LoRA adapter's folder, for a transformers/ model.")
    ] = None,
    turns: Annotated[str | None, typer.Option(help="last, or all tutor turns [last].")] = None,
    system: Annotated[
        str | None, typer.Option(help="given, or unified: one system message for all [given].")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell the tutor the student's profile.")
    ] = False,
    context: Annotated[
        str | None, typer.Option(help="What was noticed: none, given, or by a reasoner [none].")
    ] = None,
    grade: Annotated[
        str | None, typer.Option(help="Where missing: readability, model or none [readability].")
    ] = None,
    timed: Annotated[
        bool, typer.Option("--timed", help="One tutor call at a time: its seconds are its own.")
    ] = False,
    n: Annotated[int | None, typer.Option("-n", help="Only the first so many.")] = None,
    budget: option.Budget = None,
    price: option.Price = None,
    concurrency: option.Concurrency = None,
    seed: option.Seed = None,
    prompts: option.Prompts = None,
    base_url: option.BaseUrl = None,
    temperature: Annotated[
        list[str] | None, typer.Option(help="ROLE=VALUE: sampling temperature. Repeatable.")
    ] = None,
    max_tokens: Annotated[
        list[str] | None, typer.Option(help="ROLE=COUNT: longest reply in tokens. Repeatable.")
    ] = None,
    provider_option: option.ProviderOption = None,
    batch: option.Batch = None,
    retry_failed: option.RetryFailed = False,
    yes: option.Yes = False,
    json: option.Json = False,
) -> int:  # fmt: skip
    """Ask a tutor for its next turn in each conversation; the same command again resumes."""
    return predicted(locals().copy(), out, run)


def predicted(given: Mapping[str, Any], out: Path, run: Path | None) -> int:
    """Do it, with `predict`'s options as given; the exit code."""
    import orjson

    from synthtutor.cli.configuration import configured
    from synthtutor.cli.folder import journal_of
    from synthtutor.cli.running import execute
    from synthtutor.evaluation.predict import latency, predictions
    from synthtutor.export.lines import encode, write_lines
    from synthtutor.outputs import finished

    _refuse(given["test"], out)
    models = _models(given["model"], given.get("adapter"))
    config = configured(
        RECIPE,
        {name: given.get(name) for name in PASSED}
        | {"model": models, "rows": given["test"], "controls": 0, "option": _options(given)}
        | {"provider_option": _provider_options(given)},
    )
    folder = run or _folder(given["test"], config.models["default"])
    code = execute(
        config,
        folder,
        retry_failed=bool(given.get("retry_failed")),
        yes=bool(given.get("yes")),
        samples=False,
        as_json=bool(given.get("json")),
        argv=sys.argv,
    )
    if not (folder / "journal.sqlite").is_file():
        return code
    with journal_of(folder) as reading:
        found = list(predictions(reading))
        failed = sum(1 for _ in finished(reading, ("failed",)))
    write_lines((encode(row, name=row["id"]) for row in found), out)
    times = latency([row["seconds"] for row in found if row["seconds"] is not None])
    lacking = sum(row["reply"] is None for row in found)
    result = {"event": "predictions", "file": str(out), "conversations": len(found)}
    if given.get("json"):
        result |= {"without_reply": lacking, "failed": failed, "latency": times}
        typer.echo(orjson.dumps(result).decode())
    else:
        _say(found, lacking, times, out)
        if failed:
            typer.echo(f"{failed} more failed and are not in the file: --retry-failed asks again")
    return code


def _say(found: list[dict[str, Any]], lacking: int, times: Mapping[str, Any], out: Path) -> None:
    leaks = [row["leaks_answer"] for row in found if row.get("leaks_answer") is not None]
    fits = [row["age_fit"] for row in found if row.get("age_fit") is not None]
    typer.echo(f"\n{len(found)} conversations, {lacking} without a reply, in {out}")
    if leaks:
        typer.echo(f"gives the answer away: {sum(leaks)} of {len(leaks)} with a known answer")
    if fits:
        typer.echo(f"fits the student's age: {sum(fits)} of {len(fits)} with a known grade")
    alone = all(row["timed"] for row in found if row["seconds"] is not None)
    if times["count"]:
        typer.echo(
            f"seconds a reply: mean {times['mean']:.2f}, median {times['median']:.2f}, "
            f"95th percentile {times['p95']:.2f}{'' if alone else ', waits for a free slot included'}"
        )


def _models(models: list[str], adapter: Path | None) -> list[str]:
    """The tutor's model is everybody's who has none; BASE with an adapter is the transformers provider's."""
    from synthtutor.errors import ConfigError

    given = []
    for value in models:
        role, equals, name = value.partition("=")
        plain = not equals or "/" in role
        given.append(value if plain or role != "tutor" else name)
    tutors = [value for value in given if "=" not in value.partition("/")[0]]
    if len(tutors) != 1:
        raise ConfigError("--model: give one tutor, as provider/model")
    if adapter is None:
        return given
    if not adapter.is_dir():
        raise ConfigError(f"--adapter {adapter}: there is no such folder")
    base = tutors[0].removeprefix("transformers/")
    return [f"transformers/{base}" if value == tutors[0] else value for value in given]


def _provider_options(given: Mapping[str, Any]) -> list[str]:
    options = list(given.get("provider_option") or [])
    if given.get("adapter"):
        options.append(f"transformers.adapter={given['adapter']}")
    return options


def _options(given: Mapping[str, Any]) -> list[str]:
    from synthtutor.errors import ConfigError
    from synthtutor.evaluation.predict import CHOICES

    values = {name: given.get(name) for name in ("turns", "system", "context", "grade")}
    for name, value in values.items():
        if value is not None and value not in CHOICES[name]:
            raise ConfigError(f"--{name} {value}: choose one of {', '.join(CHOICES[name])}")
    options = [f"{name}={value}" for name, value in values.items() if value is not None]
    flags = [name for name in ("profile", "timed") if given.get(name)]
    return [*options, *(f"{name}=yes" for name in flags)]


def _refuse(test: Path, out: Path) -> None:
    from synthtutor.errors import ConfigError
    from synthtutor.export.destination import refuse_own
    from synthtutor.sources import existing

    existing(test)
    if out.resolve() == test.resolve():
        raise ConfigError(f"{out}: is the test file; write the replies to another")
    refuse_own(out)
    if not out.parent.is_dir():
        raise ConfigError(f"cannot write {out}: there is no folder {out.parent}")


def _folder(test: Path, model: str) -> Path:
    import re

    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", f"predict-{test.stem}-{model}").strip("-")

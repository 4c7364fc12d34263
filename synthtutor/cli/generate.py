"""``synthtutor generate``: run a recipe, or resume its run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["generate"]


def generate(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name (see `synthtutor recipes`) or a run.yaml.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="provider/model for all roles, or ROLE=provider/model. Repeatable.",
        ),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="CSV, JSONL, JSON or Parquet file of seeds or rows.")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="How many samples to make.")] = None,
    per_seed: Annotated[int | None, typer.Option(help="Variations of each seed.")] = None,
    mode: Annotated[str | None, typer.Option(help="The recipe's mode.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder [runs/RECIPE-MODEL].")
    ] = None,
    rubric: Annotated[str | None, typer.Option(help="Rubric pack: a name or a YAML file.")] = None,
    controls: Annotated[
        int | None, typer.Option(help="Planted-defect controls for the judge [8].")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="US dollars that may be spent.")] = None,
    max_tokens_total: Annotated[int | None, typer.Option(help="Tokens that may be used.")] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="provider/model=IN/OUT, dollars per million tokens. Repeatable."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="YAML file of provider/model: [IN, OUT], as --price.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls in flight per model [50].")] = None,
    requests_per_minute: Annotated[float | None, typer.Option(help="Per model.")] = None,
    tokens_per_minute: Annotated[float | None, typer.Option(help="Per model.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds a call may take.")] = None,
    max_failed: Annotated[
        float | None,
        typer.Option(help="Share of failed rows (0 to 1) that is still allowed [0.5]."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The run's seed [0].")] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Folder whose prompt files replace the built-in ones.")
    ] = None,
    base_url: Annotated[
        list[str] | None,
        typer.Option(help="Endpoint URL, or PROVIDER=URL. Never with a key in it. Repeatable."),
    ] = None,
    temperature: Annotated[
        list[str] | None, typer.Option(help="ROLE=VALUE: sampling temperature. Repeatable.")
    ] = None,
    max_tokens: Annotated[
        list[str] | None, typer.Option(help="ROLE=COUNT: longest reply in tokens. Repeatable.")
    ] = None,
    reasoning_effort: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=minimal|low|medium|high, for reasoning models. Repeatable."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the local provider.")] = None,
    provider_option: Annotated[
        list[str] | None, typer.Option(help="PROVIDER.NAME=VALUE for a provider. Repeatable.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the recipe. Repeatable.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="trusted or cosine, as --option label=: which label of the grading recipes."
        ),
    ] = None,
    batch: Annotated[
        bool | None,
        typer.Option(
            "--batch/--no-batch", help="Use the vendors' batch APIs: half the price, hours later."
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Calls in one batch [10000].")] = None,
    batch_wait: Annotated[
        float | None, typer.Option(help="Seconds without a new call after which a batch goes [5].")
    ] = None,
    batch_poll: Annotated[
        float | None, typer.Option(help="Seconds between two looks at a batch [30].")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what was refused or cut before.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html at the end.")
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before paying again.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Progress and summary as JSON lines.")
    ] = False,
) -> int:
    """Generate, judge, filter and export samples; the same command again resumes."""
    given = locals().copy()
    from synthtutor.cli.configuration import configured, folder_for, refuse_unused
    from synthtutor.cli.running import execute

    config = configured(recipe, given)
    refuse_unused(config, given)
    folder = out or folder_for(recipe, config)
    return execute(
        config,
        folder,
        retry_failed=retry_failed,
        yes=yes,
        report=report,
        as_json=json,
        argv=sys.argv,
    )

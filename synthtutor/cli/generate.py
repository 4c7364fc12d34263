"""``synthtutor generate``: run a recipe, or resume its run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthtutor.config import RunConfig

__all__ = ["generate"]

_DEFAULT_MODEL = "local/smollm2-135m"


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
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before paying again.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Progress and summary as JSON lines.")
    ] = False,
) -> int:
    """Generate, judge, filter and export samples; the same command again resumes."""
    given = _given(
        model=model, rows=rows and str(rows), n=n, per_seed=per_seed, mode=mode, rubric=rubric,
        controls=controls, budget=budget, max_tokens_total=max_tokens_total, price=price,
        concurrency=concurrency, requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute, timeout=timeout, max_failed=max_failed, seed=seed,
        prompts=prompts and str(prompts), base_url=base_url, temperature=temperature,
        max_tokens=max_tokens, reasoning_effort=reasoning_effort, threads=threads,
        provider_option=provider_option, option=option,
        batch=batch, batch_size=batch_size, batch_wait=batch_wait, batch_poll=batch_poll,
    )  # fmt: skip
    from synthtutor.cli.running import execute

    config = _configuration(recipe, given)
    folder = out or _folder_of(recipe) or _default_folder(config)
    return execute(config, folder, retry_failed=retry_failed, yes=yes, as_json=json, argv=sys.argv)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _configuration(recipe: str, given: dict[str, Any]) -> RunConfig:
    from synthtutor.config import RunConfig

    fields: dict[str, Any] = {}
    if recipe.endswith((".yaml", ".yml")):
        base = RunConfig.load(Path(recipe))
        fields = base.model_dump(exclude_unset=True)
    else:
        fields["recipe"] = recipe
    renamed = {
        "budget": "budget_usd",
        "timeout": "timeout_s",
        "batch_wait": "batch_wait_s",
        "batch_poll": "batch_poll_s",
    }
    plain = {
        renamed.get(name, name): value
        for name, value in given.items()
        if not isinstance(value, list) and name != "threads"
    }
    fields.update(plain)
    fields["models"] = {**fields.get("models", {}), **_models(given.get("model", []))}
    if not fields["models"]:
        fields["models"] = {"default": _DEFAULT_MODEL}
    fields["base_urls"] = {**fields.get("base_urls", {}), **_base_urls(given, fields["models"])}
    fields["prices"] = {**fields.get("prices", {}), **_prices(given.get("price", []))}
    fields["options"] = {**fields.get("options", {}), **_pairs("--option", given.get("option", []))}
    _add_role_settings(fields, given)
    _add_provider_options(fields, given)
    return RunConfig.checked(fields, recipe if recipe.endswith((".yaml", ".yml")) else "options")


def _models(values: list[str]) -> dict[str, str]:
    models = {}
    for value in values:
        role, equals, model = value.partition("=")
        if equals and "/" not in role:
            models[role] = model
        else:
            models["default"] = value
    return models


def _base_urls(given: dict[str, Any], models: dict[str, str]) -> dict[str, str]:
    urls = {}
    for value in given.get("base_url", []):
        name, equals, url = value.partition("=")
        if equals and "/" not in name:
            urls[name] = url
        else:
            urls.update(
                dict.fromkeys(sorted({m.partition("/")[0] for m in models.values()}), value)
            )
    return urls


def _prices(values: list[str]) -> dict[str, tuple[float, float]]:
    from synthtutor.prices import parse_price

    prices = {}
    for value in values:
        model, price = parse_price(value)
        assert price.per_million is not None  # noqa: S101  # parse_price always sets it
        prices[model] = price.per_million
    return prices


def _pairs(name: str, values: list[str]) -> dict[str, str]:
    from synthtutor.errors import ConfigError

    pairs = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not (key and equals):
            raise ConfigError(f"{name} {value!r}: write NAME=VALUE")
        pairs[key] = text
    return pairs


def _add_role_settings(fields: dict[str, Any], given: dict[str, Any]) -> None:
    settings = {role: dict(values) for role, values in fields.get("settings", {}).items()}
    for name in ("temperature", "max_tokens", "reasoning_effort"):
        for role, value in _pairs(f"--{name.replace('_', '-')}", given.get(name, [])).items():
            settings.setdefault(role, {})[name] = value
    fields["settings"] = settings


def _add_provider_options(fields: dict[str, Any], given: dict[str, Any]) -> None:
    from synthtutor.errors import ConfigError

    options = {name: dict(values) for name, values in fields.get("provider_options", {}).items()}
    for name, value in _pairs("--provider-option", given.get("provider_option", [])).items():
        provider, dot, own = name.partition(".")
        if not (provider and dot and own):
            raise ConfigError(f"--provider-option {name}: write PROVIDER.NAME=VALUE")
        options.setdefault(provider, {})[own] = value
    if "threads" in given:
        options.setdefault("local", {})["threads"] = str(given["threads"])
    fields["provider_options"] = options


def _folder_of(recipe: str) -> Path | None:
    """The run that a run.yaml belongs to, where it lies in a run's folder."""
    folder = Path(recipe).parent
    return folder if Path(recipe).is_file() and (folder / "journal.sqlite").is_file() else None


def _default_folder(config: RunConfig) -> Path:
    models = config.models
    model = models.get("default") or models.get("writer") or next(iter(models.values()))
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", f"{config.recipe}-{model}").strip("-")

"""From a command's options to a checked configuration and its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthtutor.config import RunConfig

__all__ = ["configured", "folder_for"]

_DEFAULT_MODEL = "local/smollm2-135m"
_NOT_OF_A_RUN = ("recipe", "out", "report", "retry_failed", "yes", "json")


def configured(recipe: str, options: Mapping[str, Any]) -> RunConfig:
    """The configuration that a recipe's name or a run.yaml makes with `generate`'s options.

    ``options`` may hold more than those, and None for what was not given. Raises ConfigError.
    """
    from synthtutor.config import RunConfig

    given = {n: v for n, v in options.items() if v is not None and n not in _NOT_OF_A_RUN}
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
        renamed.get(name, name): str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if not isinstance(value, list) and name not in ("threads", "prices")
    }
    fields.update(plain)
    fields["models"] = {**fields.get("models", {}), **_models(given.get("model", []))}
    if not fields["models"]:
        fields["models"] = {"default": _DEFAULT_MODEL}
    fields["base_urls"] = {**fields.get("base_urls", {}), **_base_urls(given, fields["models"])}
    fields["prices"] = {
        **fields.get("prices", {}),
        **(_prices_in(given["prices"]) if "prices" in given else {}),
        **_prices(given.get("price", [])),
    }
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


def _prices_in(path: Path) -> dict[str, Any]:
    import yaml

    from synthtutor.errors import ConfigError

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(pair, list) for pair in found.values()):
        raise ConfigError(f"{path}: write a line for each model, provider/model: [IN, OUT]")
    return found


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


def folder_for(recipe: str, config: RunConfig) -> Path:
    """Where a run goes that was not told: a run.yaml's own run, else ``runs/RECIPE-MODEL``."""
    folder = Path(recipe).parent
    if Path(recipe).is_file() and (folder / "journal.sqlite").is_file():
        return folder
    models = config.models
    model = models.get("default") or models.get("writer") or next(iter(models.values()))
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", f"{config.recipe}-{model}").strip("-")

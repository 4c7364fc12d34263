"""From a command's options to a checked configuration and its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from synthtutor.config import RunConfig

__all__ = ["by_flag", "configured", "folder_for", "refuse_unused"]

_DEFAULT_MODEL = "local/smollm2-135m"
Value = TypeVar("Value")
_SETTINGS = {"temperature": "VALUE", "max_tokens": "COUNT", "reasoning_effort": "LEVEL"}
_NOT_OF_A_RUN = ("recipe", "out", "report", "retry_failed", "yes", "json")


def configured(recipe: str, options: Mapping[str, Any]) -> RunConfig:
    """The configuration that a recipe's name or a run.yaml makes with `generate`'s options.

    ``options`` may hold more than those, and None for what was not given. Raises ConfigError.
    """
    from synthtutor.config import RunConfig
    from synthtutor.errors import ConfigError

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
        if not isinstance(value, list) and name not in ("label", "threads", "prices")
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
    fields["options"] = {**fields.get("options", {}), **_recipe_options(given)}
    _add_role_settings(fields, given)
    _add_provider_options(fields, given)
    where = recipe if recipe.endswith((".yaml", ".yml")) else "options"
    try:
        return RunConfig.checked(fields, where)
    except ConfigError as error:
        raise ConfigError(by_flag(str(error), where, {*plain, *_given_as(given)})) from None


def refuse_unused(
    config: RunConfig, options: Mapping[str, Any], *, also: Iterable[str] = ()
) -> None:
    """Raise ConfigError for an option about a model or a provider that the run does not ask.

    ``also`` are models that are only priced.
    """
    from synthtutor.errors import ConfigError

    models = {*config.models.values(), *also}
    providers = {model.partition("/")[0] for model in models}
    asked = f"this run asks {', '.join(sorted(models))}"
    for value in options.get("price") or []:
        if (model := value.rpartition("=")[0]) not in models:
            raise ConfigError(f"--price {value}: no role has the model {model}; {asked}")
    named = [("--base-url", v) for v in options.get("base_url") or [] if _role_of(v)]
    named += [("--provider-option", v) for v in options.get("provider_option") or []]
    named += [("--threads", "local.")] if options.get("threads") is not None else []
    for flag, value in named:
        provider = value.partition("=")[0].partition(".")[0]
        if provider not in providers:
            raise ConfigError(f"{flag}: no role has a model of provider {provider!r}; {asked}")


_FLAGS = {
    "models": "--model",
    "n": "-n",
    "budget_usd": "--budget",
    "timeout_s": "--timeout",
    "batch_wait_s": "--batch-wait",
    "batch_poll_s": "--batch-poll",
    "base_urls": "--base-url",
    "provider_options": "--provider-option",
    "options": "--option",
}


def _given_as(given: Mapping[str, Any]) -> set[str]:
    names = {"model": "models", "base_url": "base_urls", "option": "options"}
    names["provider_option"] = "provider_options"
    names |= dict.fromkeys(_SETTINGS, "settings")
    return {field for name, field in names.items() if given.get(name)}


def by_flag(message: str, where: str, given: Set[str]) -> str:
    """The message's lines with the option's name where a field was given by one."""
    lines = []
    for line in message.splitlines():
        place, _, hint = line.removeprefix(f"{where}: ").partition(": ")
        field, *rest = place.split(".")
        if field not in given:
            lines.append(line)
        elif field == "settings" and len(rest) == 2:
            lines.append(f"--{rest[1].replace('_', '-')} {rest[0]}: {hint}")
        else:
            flag = _FLAGS.get(field, f"--{field.replace('_', '-')}")
            lines.append(f"{flag}{''.join(f' {part}' for part in rest)}: {hint}")
    return "\n".join(lines)


def _models(values: list[str]) -> dict[str, str]:
    return _once(
        "--model", ((_role_of(v) or "default", v.removeprefix(f"{_role_of(v)}=")) for v in values)
    )


def _role_of(value: str) -> str:
    """What stands before the first ``=``, where that is a name and no part of a model or a URL."""
    name, equals, _ = value.partition("=")
    return name if equals and not {"/", "?"} & set(name) else ""


def _base_urls(given: dict[str, Any], models: dict[str, str]) -> dict[str, str]:
    pairs = []
    for value in given.get("base_url", []):
        if name := _role_of(value):
            pairs.append((name, value.removeprefix(f"{name}=")))
        else:
            providers = sorted({m.partition("/")[0] for m in models.values()})
            pairs += [(provider, value) for provider in providers]
    return _once("--base-url", pairs)


def _once(flag: str, pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """The pairs as a mapping. Raises ConfigError for a name that is given twice."""
    from synthtutor.errors import ConfigError

    found: dict[str, Value] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise ConfigError(f"{flag}: {name} is given twice, as {found[name]} and {value}")
        found[name] = value
    return found


def _prices_in(path: Path) -> dict[str, Any]:
    from synthtutor.errors import ConfigError
    from synthtutor.yaml_text import read_yaml

    found = read_yaml(path)
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{path}: write a line for each model, provider/model: [IN, OUT]")
    for model, pair in found.items():
        if not (isinstance(model, str) and all(model.partition("/"))):
            raise ConfigError(f"{path}: {model}: write provider/model: [IN, OUT]")
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_price, pair))):
            raise ConfigError(f"{path}: {model}: write [IN, OUT], dollars per million tokens")
    return found


def _is_price(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < float("inf")  # type: ignore[operator]  # a number, as just seen


def _prices(values: list[str]) -> dict[str, tuple[float, float]]:
    from synthtutor.prices import parse_price

    parsed = (parse_price(value) for value in values)
    return _once(
        "--price", ((model, price.per_million) for model, price in parsed if price.per_million)
    )


def _pairs(name: str, values: list[str], form: str = "NAME=VALUE") -> dict[str, str]:
    from synthtutor.errors import ConfigError

    pairs = []
    for value in values:
        key, equals, text = value.partition("=")
        if not (key and equals):
            raise ConfigError(f"{name} {value!r}: write {form}")
        pairs.append((key, text))
    return _once(name, pairs)


def _recipe_options(given: dict[str, Any]) -> dict[str, str]:
    from synthtutor.errors import ConfigError

    options = _pairs("--option", given.get("option", []))
    label = given.get("label")
    if label is None:
        return options
    if options.get("label", label) != label:
        raise ConfigError(f"--label {label} and --option label={options['label']}: give one")
    return {**options, "label": label}


def _add_role_settings(fields: dict[str, Any], given: dict[str, Any]) -> None:
    settings = {role: dict(values) for role, values in fields.get("settings", {}).items()}
    for name, value in _SETTINGS.items():
        flag = f"--{name.replace('_', '-')}"
        for role, text in _pairs(flag, given.get(name, []), f"ROLE={value}").items():
            settings.setdefault(role, {})[name] = text
    fields["settings"] = settings


def _add_provider_options(fields: dict[str, Any], given: dict[str, Any]) -> None:
    from synthtutor.errors import ConfigError

    options = {name: dict(values) for name, values in fields.get("provider_options", {}).items()}
    pairs = _pairs("--provider-option", given.get("provider_option", []), "PROVIDER.NAME=VALUE")
    for name, value in pairs.items():
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

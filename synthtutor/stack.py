"""What stands around each model of a run: one stack of wrappers, written once, here.

A live call passes Metered → Retrying → Limited → Gate → the provider. A call that may wait hours
for half the price passes Metered → Batched → the provider's batch API; there the vendor paces and
retries, and a run that is stopped has nothing in flight that it could lose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, cast

from synthtutor.batches import Batched, Batching
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, Retryable
from synthtutor.limits import Limited, Limits
from synthtutor.meter import Meter, Metered
from synthtutor.plugins import open_provider
from synthtutor.prices import Price, price_of
from synthtutor.provider import BatchProvider, Endpoint, Provider
from synthtutor.recipes.recipe import Recipe
from synthtutor.retries import Retrying
from synthtutor.session import Role
from synthtutor.stopping import Gate, Stop, calls_landed

__all__ = ["Stack", "endpoint_of", "models_of", "stacked"]

_ALSO_ASKED_AS = {"judge": "writer"}


@dataclass(slots=True)
class Stack:
    """The roles of a run with their models, and the wrappers that a display looks at, by model."""

    roles: dict[str, Role] = field(default_factory=dict)
    limited: dict[str, Limited] = field(default_factory=dict)
    batched: dict[str, Batched] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    config: RunConfig
    meter: Meter
    stop: Stop
    left_in_batches: frozenset[str]
    on_retry: Callable[[Retryable], None]
    warn: Callable[[str], None]
    stack: Stack = field(default_factory=Stack)

    def wrapped(self, base: Provider, model: str, price: Price) -> Provider:
        """The base in its wrappers, for one model."""
        capabilities = base.capabilities(model.partition("/")[2])
        limits = _capped(self.config.limits(), capabilities.max_in_flight)
        limited = Limited(
            Gate(base, self.stop),
            limits,
            priority=calls_landed,
            careful=not capabilities.free,
            warn=self.warn,
        )
        self.stack.limited[model] = limited
        live: Provider = Retrying(limited, on_retry=self.on_retry)
        batching = self.config.batch and isinstance(base, BatchProvider)
        if batching or model in self.left_in_batches:
            live = self.stack.batched[model] = Batched(
                cast("Batching", base),
                model,
                self.config.batch_plan(),
                live=None if batching else live,
                warn=self.warn,
            )
        elif self.config.batch:
            self.stack.notes.append(f"{model} has no batch API: it is asked call by call")
        return Metered(live, self.meter, price, batched=batching)


async def stacked(
    config: RunConfig,
    recipe: Recipe[Any],
    exits: AsyncExitStack,
    meter: Meter,
    stop: Stop,
    *,
    given: Mapping[str, Provider],
    left_in_batches: frozenset[str],
    on_retry: Callable[[Retryable], None],
    warn: Callable[[str], None],
) -> Stack:
    """The roles with their models; one stack of wrappers per model, whoever asks it.

    Providers in ``given`` are used as they are, the others are opened, and closed by ``exits``.
    Raises ConfigError for a role without a model, an unknown provider, a setting no model takes.
    """
    builder = _Builder(config, meter, stop, left_in_batches, on_retry, warn)
    stack = builder.stack
    bases: dict[str, Provider] = {}
    asked: dict[str, Provider] = {}
    prices = {
        model: Price("given", model, (into, out)) for model, (into, out) in config.prices.items()
    }
    for role, model in models_of(config, recipe).items():
        name, _, own_name = model.partition("/")
        if name in given:
            bases[name] = _instance(name, given[name])
        elif name not in bases:
            bases[name] = open_provider(name, endpoint_of(config, name))
            exits.push_async_callback(bases[name].aclose)
        capabilities = bases[name].capabilities(own_name)
        price = price_of(model, free=capabilities.free, given=prices)
        if model not in asked:
            asked[model] = builder.wrapped(bases[name], model, price)
        settings = config.settings.get(role)
        overrides = settings.given() if settings else {}
        refused = capabilities.left_out(settings.as_settings()) if settings else []
        if refused:
            raise ConfigError(
                f"{model} does not take {' and '.join(refused)}: leave it out for role {role}"
            )
        stack.roles[role] = Role(model, asked[model], capabilities, price, overrides)
    if config.batch and not stack.batched:
        models = sorted({role.model for role in stack.roles.values()})
        raise ConfigError(f"--batch: no batch API at {', '.join(models)}")
    return stack


def _instance(name: str, provider: Provider) -> Provider:
    if isinstance(provider, type) or not isinstance(provider, Provider):
        raise ConfigError(
            f"providers: {name!r} is {provider!r:.80}; give an object with the methods complete, "
            "capabilities and aclose"
        )
    return provider


def models_of(config: RunConfig, recipe: Recipe[Any]) -> dict[str, str]:
    """Each of the recipe's roles with its model: its own, else ``default``, else the writer's."""
    unknown = set(config.models) - set(recipe.roles) - {"default"}
    if unknown:
        raise ConfigError(
            f"recipe {recipe.name} has no role {', '.join(sorted(unknown))}; "
            f"its roles: {', '.join(recipe.roles)}"
        )
    models: dict[str, str] = {}
    for role in recipe.roles:
        model = config.models.get(role) or config.models.get("default")
        model = model or config.models.get(_ALSO_ASKED_AS.get(role, ""))
        if model is None:
            raise ConfigError(f"no model for role {role!r}: add --model {role}=provider/model")
        models[role] = model
    return models


def endpoint_of(config: RunConfig, name: str) -> Endpoint:
    """What the provider of that name is opened with; its key is found where keys are."""
    settings: dict[str, Any] = {} if config.timeout_s is None else {"timeout_s": config.timeout_s}
    return Endpoint(
        base_url=config.base_urls.get(name),
        max_in_flight=config.concurrency,
        options=config.provider_options.get(name, {}),
        **settings,
    )


def _capped(limits: Limits, most: int | None) -> Limits:
    if most is None or limits.concurrency <= most:
        return limits
    return replace(limits, concurrency=most)

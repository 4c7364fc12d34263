"""What a run will cost, before anything is spent: where the figures of an estimate come from.

The recipe is rehearsed (`synthtutor.rehearsal`), prompts are counted (`synthtutor.tokens`), and how
long replies are comes, in this order, from this run's own journal, from an earlier run of the same
recipe and models beside it, and from what the recipe declares.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from synthtutor.billed import Done, billed_prompts, done_in, evidence_for
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, Rejected
from synthtutor.estimates import NEAR, Estimate, Evidence, estimated
from synthtutor.messages import Request, Schema
from synthtutor.plugins import open_provider
from synthtutor.preflight import check, find_recipe, refuse_endless
from synthtutor.prices import Price, cheaper_models, price_of
from synthtutor.provider import BatchProvider, CountingProvider, Endpoint, Provider
from synthtutor.recipes.recipe import Recipe
from synthtutor.rehearsal import Expected, Lengths, Rehearsal, Rehearsing, in_form, rehearse
from synthtutor.samplings import PerSample
from synthtutor.session import CallSite, Role
from synthtutor.sources import kept
from synthtutor.stack import endpoint_of, models_of
from synthtutor.tokens import Counter, calibrated, counter_for

__all__ = ["Basis", "basis_of", "costs_nothing", "estimate"]

_NO_KEY = "no-key-is-needed-to-estimate"
_TOKENS_OF_A_STRING = 22.0
_TOKENS_OF_PROSE = 250.0
_MORE = 5  # times as many rows, where what is known of rows says much of their bills
# So many of the first rows show how large the forms to fill in are on average.
_FORMS_SEEN, _FIRST_ROWS = 20, 200
_EXACTLY_COUNTED = 10  # prompts a model; each is a call to the vendor, which costs nothing


@dataclass(slots=True)
class _Model:
    """One model as an estimate sees it."""

    provider: Provider
    price: Price
    counter: Counter
    prompts: list[Request] = field(default_factory=list)

    def count(self, request: Request) -> int:
        """The prompt's tokens; some prompts are kept, to be counted exactly if asked."""
        if len(self.prompts) < _EXACTLY_COUNTED:
            self.prompts.append(request)
        return self.counter.count(request)


async def estimate(
    config: RunConfig,
    folder: Path,
    *,
    recipe: Recipe[Any] | None = None,
    rows: Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    exact: bool = False,
    compare: Iterable[str] = (),
    most: int = 200,
    near: float = NEAR,
) -> Estimate:
    """Estimate the run that ``config`` would make, or go on with, in ``folder``.

    ``exact`` asks the vendors' counting endpoints about a few prompts, which needs a key and costs
    nothing. ``compare`` names models to price the same tokens with; ``most`` is how many rows are
    rehearsed, ``near`` the share within which ``enough`` rows bring the bill. Raises ConfigError for
    what would keep the run from starting.
    """
    given: dict[str, Any] = {"recipe": recipe, "providers": providers, "exact": exact}
    rows = kept(rows, config.n)
    basis = await basis_of(config, folder, rows=rows, most=most, **given)
    found = basis.estimate(near=near, compare=compare)
    if found.unrehearsed > near / 5 and found.rows > most:
        more = await basis_of(config, folder, rows=rows, most=_MORE * most, **given)
        found = more.estimate(near=near, compare=compare)
    return found


@dataclass(frozen=True, slots=True)
class Basis:
    """What an estimate is made of: what was rehearsed, what was billed, and each model's terms.

    ``unusable`` are the assumed shares of replies that are asked for again, by role and prompt.
    """

    config: RunConfig
    found: Rehearsal
    evidence: Evidence | None
    done: Done
    models: Mapping[str, _Model]
    unusable: Mapping[tuple[str, str], float]

    def estimate(self, *, near: float = NEAR, compare: Iterable[str] = ()) -> Estimate:
        """The arithmetic, with arguments as those of `estimate`."""
        prices = {name: model.price for name, model in self.models.items()}
        result = self._with_prices(prices, near)

        def priced(other: Mapping[str, Price]) -> Estimate:
            return self._with_prices(other, near)

        return replace(
            result,
            savings=_savings(self.config, result, prices, priced, compare),
            counting={name: model.counter.how for name, model in self.models.items()},
            prices={
                name: f"{price.source}"
                f"{f', as {price.match}' if price.match not in ('', name) else ''}"
                for name, price in prices.items()
            },
        )

    def _with_prices(self, prices: Mapping[str, Price], near: float) -> Estimate:
        found, models = self.found, self.models
        controls = PerSample() if self.done.controls else found.controls.of(0)
        return estimated(
            rows=found.left,
            all_rows=found.rows,
            rehearsed=found.samples,
            also_rehearsed=found.also,
            controls=controls,
            evidence=self.evidence,
            prices=prices,
            spread={name: model.counter.spread for name, model in models.items()},
            limits=self.config.limits(),
            paid_usd=self.done.paid_usd,
            batched=[n for n, model in models.items() if isinstance(model.provider, BatchProvider)],
            unusable=self.unusable,
            near=near,
        )


async def basis_of(
    config: RunConfig,
    folder: Path,
    *,
    recipe: Recipe[Any] | None = None,
    rows: Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    exact: bool = False,
    most: int = 200,
) -> Basis:
    """Rehearse, and read what was billed, with arguments as those of `estimate`, which says what it raises."""
    recipe = recipe or find_recipe(config.recipe)
    check(config, recipe)
    evidence, journal = evidence_for(config, recipe, folder)
    async with AsyncExitStack() as exits:
        models = _models(config, recipe, providers or {}, exits, exact=exact)
        if journal is not None:
            _calibrate(models, billed_prompts(journal))
        lengths = _Lengths(recipe, evidence, models)
        roles = _roles(config, recipe, models, lengths)
        if rows is None:
            refuse_endless(config, recipe, roles)
        known = evidence.samples.by_sample if evidence is not None and evidence.own else {}
        done = done_in(folder)

        rows = kept(rows, config.n)
        first = min(config.n or _FIRST_ROWS, _FIRST_ROWS)
        briefly = config.model_copy(update={"n": first, "controls": 0})
        await rehearse(briefly, recipe, roles, rows=rows, most=_FORMS_SEEN)
        lengths.settle()

        async def rehearsed() -> Rehearsal:
            return await rehearse(
                config, recipe, roles, rows=rows, most=most, also=known, done=done.samples
            )

        found = await rehearsed()
        if exact and await _count_exactly(models):
            found = await rehearsed()
    return Basis(config, found, evidence, done, models, _unusable(roles))


def costs_nothing(config: RunConfig) -> bool:
    """Whether no model of the run costs money. Raises ConfigError as `estimate` does."""
    recipe = find_recipe(config.recipe)
    prices = {model: Price("given", model, pair) for model, pair in config.prices.items()}
    for model in set(models_of(config, recipe).values()):
        name, _, own = model.partition("/")
        free = _opened(endpoint_of(config, name), name, exact=False).capabilities(own).free
        if price_of(model, free=free, given=prices).per_million != (0.0, 0.0):
            return False
    return True


def _savings(
    config: RunConfig,
    result: Estimate,
    prices: Mapping[str, Price],
    with_prices: Callable[[Mapping[str, Price]], Estimate],
    compare: Iterable[str],
) -> list[tuple[str, float]]:
    """What else the same would cost, most saved first: (what to change, expected dollars saved)."""
    full = result.cost_usd.expected
    if full <= 0:
        return []
    found = []
    if not config.batch and result.batch_usd.expected < full:
        found.append(("--batch", full - result.batch_usd.expected))
    if config.per_seed and config.per_seed > 1:
        fewer = config.per_seed // 2
        found.append((f"--per-seed {fewer}", full * (1 - fewer / config.per_seed)))
    named = list(compare)
    for model in prices:
        roles = sorted({stage.role for stage in result.stages if stage.model == model})
        for other in named or cheaper_models(model):
            dollars = with_prices({**prices, model: price_of(other)}).cost_usd.expected
            if other != model and price_of(other).known and (named or dollars < full):
                who = " ".join(f"--model {role}={other}" for role in roles)
                found.append((who, full - dollars))
    return sorted(found, key=lambda each: -each[1])


# ── the models, without asking them ──────────────────────────────────────────────────────────


def _models(
    config: RunConfig,
    recipe: Recipe[Any],
    given: Mapping[str, Provider],
    exits: AsyncExitStack,
    *,
    exact: bool,
) -> dict[str, _Model]:
    prices = {model: Price("given", model, pair) for model, pair in config.prices.items()}
    opened: dict[str, Provider] = {}
    models: dict[str, _Model] = {}
    for model in models_of(config, recipe).values():
        name, _, own = model.partition("/")
        if name not in opened:
            opened[name] = given.get(name) or _opened(endpoint_of(config, name), name, exact)
            if name not in given:
                exits.push_async_callback(opened[name].aclose)
        free = opened[name].capabilities(own).free
        price = price_of(model, free=free, given=prices)
        models[model] = _Model(opened[name], price, counter_for(model))
    return models


def _opened(endpoint: Endpoint, name: str, exact: bool) -> Provider:
    """The provider; without a key unless it is to be asked."""
    try:
        return open_provider(name, endpoint)
    except ConfigError as error:
        if exact or "key" not in str(error).lower():
            raise
        return open_provider(name, replace(endpoint, api_key=_NO_KEY))


def _roles(
    config: RunConfig, recipe: Recipe[Any], models: Mapping[str, _Model], lengths: Lengths
) -> dict[str, Role]:
    roles = {}
    for role, model in models_of(config, recipe).items():
        known = models[model]
        capabilities = known.provider.capabilities(model.partition("/")[2])
        provider = Rehearsing(known.count, lengths, capabilities, recipe.odds)
        overrides = config.settings[role].given() if role in config.settings else {}
        roles[role] = Role(model, provider, capabilities, known.price, overrides)
    return roles


def _calibrate(models: Mapping[str, _Model], billed: Iterable[tuple[str, Request, int]]) -> None:
    pairs: dict[str, list[tuple[int, int]]] = {}
    for name, request, tokens in billed:
        if name in models:
            counted = models[name].counter.count(request)
            pairs.setdefault(name, []).append((counted, tokens))
    for name, found in pairs.items():
        models[name].counter = calibrated(models[name].counter, found)


async def _count_exactly(models: Mapping[str, _Model]) -> bool:
    """Correct the counters by the vendors' own; whether any was."""
    corrected = False
    for name, model in models.items():
        if isinstance(model.provider, CountingProvider):
            try:
                pairs = [
                    (model.counter.count(request), await model.provider.count_tokens(request))
                    for request in model.prompts
                ]
            except Rejected as error:  # an address of its own need not count
                raise ConfigError(f"--exact: {name} does not count prompts: {error}") from None
            before, model.counter = model.counter, calibrated(model.counter, pairs)
            corrected |= model.counter is not before
    return corrected


# ── how often replies cannot be used ─────────────────────────────────────────────────────────

# Assumed shares of replies that are not the value asked for, where the vendor does not see to the
# schema but only to its being JSON, or to nothing.
_UNUSABLE = {"json": 0.08, "none": 0.1}


def _unusable(roles: Mapping[str, Role]) -> dict[tuple[str, str], float]:
    """By role and prompt; only answers with a schema can be told to be unusable."""
    return {
        formed: _UNUSABLE.get(role.capabilities.structured_output, 0.0)
        for role in roles.values()
        if isinstance(role.provider, Rehearsing)
        for formed in role.provider.formed
    }


# ── how long replies will be ─────────────────────────────────────────────────────────────────


class _Lengths:
    """How long a reply is expected to be: as `Lengths`.

    As long as billed replies were on average where there are some, else what the recipe declares,
    else what the form suggests. Where rows ask for larger and smaller forms (so many criteria, so
    many exchanges) a reply is as much longer as its form is larger than the average one; what that is,
    the first calls show, until `settle`.
    """

    def __init__(
        self, recipe: Recipe[Any], evidence: Evidence | None, models: Mapping[str, _Model]
    ) -> None:
        self._declared = recipe.output_tokens
        self._models = models
        self._billed = _billed_lengths(evidence)
        self._sizes: dict[tuple[str, str], list[float]] = {}
        self._usual: dict[tuple[str, str], float] | None = None

    def settle(self) -> None:
        """From now on the forms so far are the usual ones."""
        self._usual = {place: fmean(sizes) for place, sizes in self._sizes.items()}

    def __call__(self, site: CallSite, request: Request) -> Expected:
        place = site.role, site.stage
        size = self._by_form(site.schema, request)
        if self._usual is None:
            self._sizes.setdefault(place, []).append(size)
        usual = (self._usual or {}).get(place, size)
        known = self._billed.get(place)
        declared = self._declared.get(site.stage)
        if known is not None:
            return Expected(known.visible * size / usual, known.reasoning)
        visible = size if declared is None else declared * size / usual
        return Expected(visible, self._thought(request))

    def _thought(self, request: Request) -> float:
        capabilities = self._models[request.model].provider.capabilities(request.model_name)
        effort = request.settings.reasoning_effort or ("low" if capabilities.reasons else None)
        return _THOUGHT.get(effort or "", 0.0)

    @staticmethod
    def _by_form(schema: Schema | None, request: Request) -> float:
        if schema is None:
            return min(_TOKENS_OF_PROSE, request.settings.max_tokens / 2)
        return _size_of(orjson.dumps(schema.strict))


def _billed_lengths(evidence: Evidence | None) -> dict[tuple[str, str], Expected]:
    billed: dict[tuple[str, str], Expected] = {}
    if evidence is not None:
        for site in evidence.samples.sites():
            total = evidence.samples.total(site)
            thought = total.reasoning_tokens / total.calls
            visible = max(1.0, total.output_tokens / total.calls - thought)
            billed[site.role, site.stage] = Expected(visible, thought)
    return billed


@lru_cache(maxsize=4096)
def _size_of(definition: bytes) -> float:
    """Tokens of a form filled in: its punctuation and names, and a sentence for each string."""
    strict = orjson.loads(definition)
    bare = in_form(Schema("form", strict, strict), 0, random.Random(0))
    strings = len(re.findall(r'":"|\["|","', bare))
    return len(bare) / 4 + strings * _TOKENS_OF_A_STRING


# A guess: what reasoning models think before such answers; the vendors publish no figures.
_THOUGHT = {"minimal": 60.0, "low": 250.0, "medium": 800.0, "high": 2000.0}

"""What a usage costs, from the bundled table of genai-prices or from the user; unknown is unknown.

The table and its arithmetic (tiers, cached tokens) are genai-prices'. Looking a model up takes
longer than a call's whole path, so a `Price` is looked up once per model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

from synthtutor.errors import ConfigError
from synthtutor.messages import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

__all__ = ["BATCH_SHARE", "FREE", "UNKNOWN", "Price", "cheaper_models", "parse_price", "price_of"]


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model. ``source`` says where it comes from, ``match`` what it was found as.

    ``per_million`` is (input, output) in US dollars for a million tokens where the user set it.
    """

    source: str
    match: str = ""
    per_million: tuple[float, float] | None = None
    _model: ModelInfo | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether a usage can be priced at all."""
        return self.per_million is not None or self._model is not None

    def cost(self, usage: Usage, *, batched: bool = False) -> float | None:
        """US dollars for a usage; None where the price is unknown. A batched call costs half."""
        if self.per_million is not None:
            into, out = self.per_million
            full = (usage.input_tokens * into + usage.output_tokens * out) / 1e6
        elif self._model is None:
            return None
        else:
            full = _from_table(self._model, usage)
        return full * BATCH_SHARE if batched else full


# Every vendor with a batch API sells it for half the list price; the table knows no batches.
BATCH_SHARE = 0.5
FREE = Price("free", per_million=(0.0, 0.0))
UNKNOWN = Price("unknown")


def price_of(model: str, *, free: bool = False, given: Mapping[str, Price] | None = None) -> Price:
    """The price of ``provider/model``: free, given by the user, from the table, or UNKNOWN."""
    if given and model in given:
        return given[model]
    if free:
        return FREE
    provider, _, name = model.partition("/")
    from genai_prices import data_snapshot

    table = data_snapshot.get_snapshot()
    # Fireworks' models have names of this form, of which people write only the end.
    for full_name in (name, f"accounts/{provider}/models/{name}"):
        try:
            _, found = table.find_provider_model(full_name, None, provider, None)
            break
        except LookupError:
            continue
    else:
        return UNKNOWN
    source = f"genai-prices {version('genai-prices')}"
    return Price(source, match=f"{provider}/{found.id}", _model=found)


def parse_price(text: str) -> tuple[str, Price]:
    """``provider/model=IN/OUT`` in US dollars per million tokens, as the command line takes it."""
    model, equals, figures = text.rpartition("=")
    into, slash, out = figures.partition("/")
    wrong = ConfigError(f"price {text!r}: write provider/model=IN/OUT, dollars per million tokens")
    if not (equals and slash and "/" in model):
        raise wrong
    try:
        dollars = float(into), float(out)
    except ValueError:
        raise wrong from None
    if not all(0 <= figure < float("inf") for figure in dollars):
        raise wrong
    return model, Price("given", match=model, per_million=dollars)


def _from_table(model: ModelInfo, usage: Usage) -> float:
    from datetime import UTC, datetime

    from genai_prices import Usage as TableUsage

    prices = model.get_prices(datetime.now(UTC))
    # Some servers count more tokens in their cache than in the prompt, which the table refuses.
    read = min(usage.cache_read_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - read)
    total = prices.calc_price(
        TableUsage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=usage.output_tokens,
        )
    )["total_price"]
    return float(total)


_NOT_TEXT = re.compile(r"audio|realtime|search|\.ft|transcribe|tts|image|embed|live|research")


def cheaper_models(model: str, most: int = 2) -> list[str]:
    """Models of the same provider and generation that cost less than half, dearest first.

    A generation is what has the same version in its name: ``claude-haiku-4-5`` beside
    ``claude-opus-4-5``. Deprecated ones are left out; there may be none.
    """
    from genai_prices import data_snapshot

    provider, _, name = model.partition("/")
    typical = Usage(1000, 300)
    full = price_of(model).cost(typical)
    version = re.search(r"\d+(?:[.-]\d+)?(?![\dk])", name)
    own = next((p for p in data_snapshot.get_snapshot().providers if p.id == provider), None)
    if not full or version is None or own is None:
        return []
    alike = re.compile(
        rf"^{re.escape(name.partition('-')[0])}\b.*(?<![\d.]){re.escape(version[0])}(?!\d|[.-]\d)"
    )
    found = {}
    for other in own.models:
        if other.deprecated or not alike.search(other.id) or _NOT_TEXT.search(other.id):
            continue
        cost = price_of(f"{provider}/{other.id}").cost(typical)
        if cost and cost < full / 2:
            found[f"{provider}/{other.id}"] = cost
    return sorted(found, key=lambda each: -found[each])[:most]

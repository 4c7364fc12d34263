"""``synthtutor estimate``: the bill before the run, from the same options as `generate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthtutor.cli.generate import generate

if TYPE_CHECKING:
    from synthtutor.estimates import Estimate

__all__ = ["estimate"]

_ABOVE = 5
_LEFT_OUT = ("recipe", "report", "retry_failed", "yes", "json")


def _with_the_options_of_generate(own: Callable[..., int]) -> Callable[..., int]:
    """``own`` with `generate`'s options beside its own; it gets them as ``options``."""
    theirs = inspect.signature(generate, eval_str=True).parameters
    shared = [p for name, p in theirs.items() if name not in _LEFT_OUT]
    mine = [
        p for p in inspect.signature(own, eval_str=True).parameters.values() if p.name != "options"
    ]

    def command(**values: Any) -> int:
        options = {parameter.name: values.pop(parameter.name) for parameter in shared}
        return own(options=options, **values)

    parameters = [*mine, *shared]
    command.__doc__ = own.__doc__
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


@_with_the_options_of_generate
def estimate(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe's name or a run.yaml, as for `generate`.")
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(help="A plan on paper (YAML) instead of a recipe. Two are compared."),
    ] = None,
    pilot: Annotated[
        int | None,
        typer.Option(help="Make so many rows first, paid and kept, and go by what they cost."),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Ask the vendors to count some prompts (free, needs a key)."),
    ] = False,
    compare: Annotated[
        list[str] | None, typer.Option(help="provider/model to price the same with. Repeatable.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="US dollars; exit 5 if more is expected to be paid.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    *,
    options: dict[str, Any],
) -> int:
    """Say what a run would take before anything is spent: calls, tokens, dollars, minutes."""
    from synthtutor.errors import ConfigError

    if plan:
        return _plans(plan, options, max_cost, json)
    if recipe is None:
        raise ConfigError("estimate what? give a recipe's name, a run.yaml, or --plan FILE")
    found = _estimated(recipe, options, pilot, exact, compare or [])
    if json:
        import orjson

        typer.echo(orjson.dumps(found.to_dict(), option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        from rich.console import Console

        from synthtutor.cli.bill import print_estimate

        print_estimate(Console(), found)
    cost = found.batch_usd if options["batch"] else found.cost_usd
    return _verdict(cost.expected, found.unpriced_calls > 0, max_cost)


def _estimated(
    recipe: str, options: dict[str, Any], pilot: int | None, exact: bool, compare: list[str]
) -> Estimate:
    from synthtutor import estimating
    from synthtutor.cli.configuration import configured, folder_for
    from synthtutor.loops import run
    from synthtutor.runs import make_pilot

    config = configured(recipe, options)
    folder = options["out"] or folder_for(recipe, config)

    async def work() -> Estimate:
        if pilot:
            await make_pilot(config, folder, pilot)
            config.save(folder / "run.yaml")
        return await estimating.estimate(config, folder, exact=exact, compare=compare)

    return run(work())


def _plans(files: list[Path], options: dict[str, Any], max_cost: float | None, json: bool) -> int:
    import orjson
    from rich.console import Console

    from synthtutor.bills import compare, price_plan
    from synthtutor.cli.configuration import configured
    from synthtutor.cli.plans import comparison_json, plan_json, print_comparison, print_plan
    from synthtutor.plans import Plan
    from synthtutor.prices import Price

    given = {
        model: Price("given", model, pair)
        for model, pair in configured("misconception", options).prices.items()
    }
    priced = [price_plan(Plan.load(path), given=given) for path in files]
    if json:
        found = comparison_json(compare(priced)) if len(priced) > 1 else plan_json(priced[0])
        typer.echo(orjson.dumps(found).decode())
    else:
        console = Console()
        for one in priced:
            print_plan(console, one)
        if len(priced) > 1:
            print_comparison(console, compare(priced))
    casts = [cast for one in priced for cast in one.casts]
    dearest = max((cast.total.live.high for cast in casts), default=0.0)
    return _verdict(dearest, any(cast.unknown for cast in casts), max_cost)


def _verdict(dollars: float, unknown: bool, most: float | None) -> int:
    if most is None:
        return 0
    if unknown:
        typer.echo("--max-cost cannot hold: a price is unknown; give it with --price", err=True)
        return _ABOVE
    if dollars > most:
        typer.echo(f"expected ${dollars:.2f}, more than --max-cost {most:g}", err=True)
        return _ABOVE
    return 0

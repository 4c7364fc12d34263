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
    within: Annotated[
        float | None,
        typer.Option(
            help="Percent. Make more rows after the pilot (20, unless --pilot says) until the cost "
            "of all is known within so much. They are part of the run; --budget bounds them."
        ),
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
        own = {"recipe": recipe, "pilot": pilot, "within": within}
        _refuse_beside_plan({**options, **own, "exact": exact or None, "compare": compare})
        return _plans(plan, options, max_cost, json)
    if recipe is None:
        raise ConfigError("estimate what? give a recipe's name, a run.yaml, or --plan FILE")
    if max_cost is not None and max_cost < 0:
        raise ConfigError(f"--max-cost {max_cost:g}: give US dollars, 0 or more")
    if wrong := [name for name in compare or [] if not all(name.partition("/"))]:
        raise ConfigError(f"--compare {wrong[0]}: write provider/model")
    if within is not None and not 1 <= within <= 100:
        raise ConfigError(f"--within {within:g}: give a percentage from 1 to 100")
    if pilot is not None and pilot < 1:
        raise ConfigError(f"--pilot {pilot}: give a number of rows, 1 or more")
    found = _estimated(recipe, options, pilot, within, {"exact": exact, "compare": compare or []})
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
    recipe: str,
    options: dict[str, Any],
    pilot: int | None,
    within: float | None,
    asked: dict[str, Any],
) -> Estimate:
    from synthtutor.cli.configuration import configured, folder_for, refuse_unused
    from synthtutor.cli.folder import legible
    from synthtutor.cli.running import watching
    from synthtutor.estimating import estimate as counted
    from synthtutor.loops import run
    from synthtutor.pilots import FIRST, make_pilot, pilot_until

    config = configured(recipe, options)
    refuse_unused(config, options, also=asked["compare"])
    folder = options["out"] or folder_for(recipe, config)

    async def work() -> Estimate:
        if not pilot and within is None:
            return await counted(config, folder, **asked)
        if within is not None:
            first, near = pilot or FIRST, within / 100
            found = await pilot_until(config, folder, near, first=first, watched=watching, **asked)
        else:
            await make_pilot(config, folder, pilot or 0, watched=watching)
            found = await counted(config, folder, **asked)
        config.save(folder / "run.yaml")
        return found

    with legible(folder):
        return run(work())


def _refuse_beside_plan(given: dict[str, Any]) -> None:
    """Raise ConfigError for what a plan on paper says itself, or has nothing to do with."""
    from synthtutor.errors import ConfigError

    for name, value in given.items():
        if value is not None and name not in ("price", "prices"):
            said = "a recipe" if name == "recipe" else f"{'-' * min(len(name), 2)}{name}"
            raise ConfigError(
                f"--plan: {said.replace('_', '-')} has no meaning beside it; "
                "what goes with a plan is --price, --prices, --max-cost and --json"
            )


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

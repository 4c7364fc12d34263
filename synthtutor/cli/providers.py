"""``synthtutor providers``: what is installed, whether it works with a key, and where the key is kept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from synthtutor.cli.show import Json, Name, say, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from synthtutor.checking import Checked, Effort
    from synthtutor.cli.noting import NotingEndpoint
    from synthtutor.prices import Price

__all__ = ["providers"]

providers = typer.Typer(
    help="List, show and check the providers, and keep their keys.", invoke_without_command=True
)


@providers.callback()
def _providers(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_providers(False)


@providers.command("list")
def list_providers(json: Json = False) -> int:
    """List the installed providers."""
    from synthtutor.plugins import installed

    pairs = [
        (name, f"{point.dist.name} {point.dist.version}" if point.dist else "")
        for name, point in sorted(installed("providers").items())
    ]
    say(dict(pairs), json, table(pairs))
    return 0


@providers.command("show")
def show_provider(name: Name, json: Json = False) -> int:
    """Show what a provider says of itself."""
    import inspect

    from synthtutor.plugins import load

    found = load("providers", name)
    text = inspect.getdoc(found) or ""
    say({"name": name, "about": text}, json, [name, "", text])
    return 0


@providers.command("check")
def check_provider(
    name: Name,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="provider/model, or the model's own name.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint URL, without a key in it.")] = None,
    provider_option: Annotated[
        list[str] | None, typer.Option(help="PROVIDER.NAME=VALUE for the provider. Repeatable.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="provider/model=IN/OUT, dollars per million tokens.")
    ] = None,
    reasoning_effort: Annotated[
        str | None, typer.Option(help="Ask for reasoning: minimal, low, medium or high.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds a call may take.")] = 120.0,
    json: Json = False,
) -> int:
    """Ask a model five times and say what works and what it cost. Exit 1 where the basics do not."""
    from synthtutor.cli.configuration import by_flag
    from synthtutor.config import RunConfig
    from synthtutor.errors import ConfigError
    from synthtutor.plugins import load
    from synthtutor.prices import parse_price

    load("providers", name)  # a name that there is not is said first
    full_name = _full_name(name, model)
    settings = {"reasoning_effort": reasoning_effort} if reasoning_effort else {}
    fields = {
        "models": {"check": full_name},
        "base_urls": {} if base_url is None else {name: base_url},
        "provider_options": {name: _own_options(name, provider_option or [])},
        "settings": {"check": settings},
        "timeout_s": timeout,
    }
    try:
        config = RunConfig.checked(fields, "options")
    except ConfigError as error:
        raise ConfigError(by_flag(str(error), "options", fields.keys())) from None
    from synthtutor.cli.noting import NotingEndpoint
    from synthtutor.loops import run

    endpoint = NotingEndpoint(
        base_url=base_url, timeout_s=timeout, options=config.provider_options[name]
    )
    given = dict([parse_price(price)]) if price else {}
    if given and full_name not in given:
        raise ConfigError(f"--price {price}: the model that is asked is {full_name}")

    effort = cast("Effort | None", reasoning_effort)
    found = run(_checked(endpoint, full_name, effort, given))
    key = endpoint.found[-1] if endpoint.found else None
    value = found.to_dict()
    value["key"] = {"variable": key.variable, "place": key.place} if key else None
    say(value, json, _lines(found, _with_key(endpoint)))
    return 0 if found.ok else 1


async def _checked(
    endpoint: NotingEndpoint, model: str, effort: Effort | None, given: Mapping[str, Price]
) -> Checked:
    from synthtutor.checking import check
    from synthtutor.errors import ConfigError, Unauthorized
    from synthtutor.plugins import open_provider
    from synthtutor.prices import price_of

    name, _, own_name = model.partition("/")
    provider = open_provider(name, endpoint)
    try:
        price = price_of(model, free=provider.capabilities(own_name).free, given=given)
        return await check(provider, model, price=price, reasoning_effort=effort, on_call=_on_call)
    except Unauthorized as error:
        raise ConfigError(f"{error} ({_with_key(endpoint)})") from None
    finally:
        await provider.aclose()


@providers.command("set-key")
def set_key(
    name: Name,
    variable: Annotated[
        str | None, typer.Option(help="The variable that names the key [the provider's first].")
    ] = None,
) -> int:
    """Keep a provider's key in the keyring. It is asked for, or read from a pipe."""
    from synthtutor.errors import ConfigError
    from synthtutor.keys import SERVICE, find, store
    from synthtutor.plugins import load

    load("providers", name)
    variable = variable or _first_variable(name)
    value = _typed(variable).strip()
    if not value:
        raise ConfigError("no key was given")
    keyring = store(variable, value)
    typer.echo(f"{variable} is in the keyring {keyring}, under the service {SERVICE}")
    place = find(variable).place
    if place != "the keyring":
        typer.echo(f"note: the key in {place} comes first", err=True)
    return 0


def _full_name(name: str, model: str | None) -> str:
    from synthtutor.errors import ConfigError
    from synthtutor.plugins import load

    if model is None:
        listed = hasattr(load("providers", name), "models")
        where = f"synthtutor models list --provider {name}" if listed else "the provider's own list"
        raise ConfigError(f"which model? add --model {name}/MODEL (see {where})")
    return model if model.startswith(f"{name}/") else f"{name}/{model}"


def _own_options(name: str, given: list[str]) -> dict[str, str]:
    from synthtutor.errors import ConfigError

    options = {}
    for text in given:
        option, equals, value = text.removeprefix(f"{name}.").partition("=")
        if not (option and equals) or "." in option:
            raise ConfigError(f"--provider-option {text!r}: write {name}.NAME=VALUE")
        options[option] = value
    return options


def _on_call(what: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"asking: {what}", err=True)


def _with_key(endpoint: NotingEndpoint) -> str:
    if not endpoint.found:
        return "without a key"
    return f"with {endpoint.found[-1].variable} from {endpoint.found[-1].place}"


def _lines(checked: Checked, key: str) -> list[str]:
    seconds = sum(call.seconds for call in checked.calls)
    tokens = f"{checked.usage.input_tokens:,} + {checked.usage.output_tokens:,} tokens"
    return [
        f"{checked.model}, {key}",
        "",
        *table([(found.what, found.state, found.reason) for found in checked.findings]),
        "",
        f"{len(checked.calls)} calls in {seconds:.1f} s: {tokens}, {_cost(checked)}",
    ]


def _cost(checked: Checked) -> str:
    if checked.cost_usd is None:
        return "of unknown price (--price tells it)"
    if checked.price == "free":
        return "free"
    digits = 4 if checked.cost_usd >= 0.01 else 6
    return f"${checked.cost_usd:.{digits}f} ({checked.price})"


def _first_variable(name: str) -> str:
    """The first variable that the provider looks for its key in: it is asked by building one."""
    from synthtutor.cli.noting import NotingEndpoint
    from synthtutor.errors import ConfigError
    from synthtutor.loops import run
    from synthtutor.plugins import open_provider

    endpoint = NotingEndpoint(base_url="http://127.0.0.1", api_key="not-needed")
    run(open_provider(name, endpoint).aclose())
    if not endpoint.variables:
        raise ConfigError(f"provider {name!r} asks for no key")
    return endpoint.variables[0]


def _typed(variable: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    from getpass import getpass

    return getpass(f"{variable} (not shown): ")

"""``synthtutor models``: the models that a provider can run on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

__all__ = ["models"]

models = typer.Typer(help="List and pull models that run on this machine.", no_args_is_help=True)

Provider = Annotated[str, typer.Option(help="The provider that runs them.")]


def _catalogue(provider: str) -> Any:
    from synthtutor.errors import ConfigError
    from synthtutor.plugins import load

    found = getattr(load("providers", provider), "models", None)
    if found is None:
        raise ConfigError(f"provider {provider!r} has no models to list or pull")
    return found


@models.command("list")
def list_models(
    provider: Provider = "local",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """List the models with size, licence and whether they are here."""
    entries = _catalogue(provider).list()
    if json:
        import orjson

        typer.echo(orjson.dumps(entries, default=str).decode())
        return 0
    for entry in entries:
        where = entry["here"] or f"synthtutor models pull {entry['name'].partition('/')[2]}"
        typer.echo(f"{entry['name']}  {entry['size_mb']} MB, {entry['licence']}: {entry['remark']}")
        typer.echo(f"  {where}")
    return 0


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="The model's name.")], provider: Provider = "local"
) -> int:
    """Fetch a model once, check it against its pinned digest and keep it."""
    path = _catalogue(provider).pull(name, typer.echo)
    typer.echo(str(path))
    return 0

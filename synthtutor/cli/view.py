"""``synthtutor view``: the samples of a run in the browser, to read and to rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["view"]


def view(
    folders: Annotated[list[Path], typer.Argument(help="The runs' folders.", metavar="DIR...")],
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes any that is free.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    rater: Annotated[
        str | None, typer.Option(help="Whose name ratings bear [who is logged in].")
    ] = None,
) -> int:
    """Look at samples, search them, and accept, reject or edit them. Nothing leaves this machine."""
    from synthtutor.errors import ConfigError

    try:
        from synthtutor.viewer.app import viewing
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the viewer needs {error.name}: pip install 'synthtutor[view]'"
        ) from None
    name = (rater if rater is not None else _logged_in()).strip()
    if not 0 < len(name) <= 80:
        raise ConfigError("--rater: a name of 1 to 80 characters, please")
    with viewing(folders, rater=name, port=port) as viewer:
        typer.echo(f"{viewer.address}\nCtrl-C ends it. Only this machine can open it.")
        if browser:
            import webbrowser

            webbrowser.open(viewer.address_once)
        viewer.serve()
    return 0


def _logged_in() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody is, in some containers
        return "somebody"

"""The viewer as an ASGI application, and the server that it runs in."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from synthtutor.errors import ConfigError, SynthtutorError
from synthtutor.viewer.guard import Guard
from synthtutor.viewer.pages import Pages
from synthtutor.viewer.runs import opened

__all__ = ["Viewer", "viewing"]

_HOST = "127.0.0.1"
_ASSETS = {"viewer.css": "text/css", "viewer.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """A viewer that listens. ``address`` holds its key; ``address_once`` one that works once."""

    server: uvicorn.Server
    socket: socket.socket
    address: str
    address_once: str

    def serve(self) -> None:
        """Answer until Ctrl-C, or until `stop`."""
        self.server.run(sockets=[self.socket])

    def stop(self) -> None:
        """End `serve`; also from another thread."""
        self.server.should_exit = True


@contextmanager
def viewing(folders: Sequence[Path], *, rater: str, port: int = 0) -> Iterator[Viewer]:
    """A viewer of the runs in the folders, listening on the loopback interface alone.

    ``port`` 0 takes any that is free. Raises JournalError where a folder holds no run, ConfigError
    where the port is taken or ``rater`` is no name.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port {port}: ports are 0 to 65535; choose another with --port")
    try:
        listening = socket.create_server((_HOST, port))
    except OSError as error:
        raise ConfigError(f"port {port}: {error.strerror}; choose another with --port") from error
    with listening:
        runs = opened(folders)
        try:
            guard = Guard(_site(Pages(runs, rater)), listening.getsockname()[1])
            config = uvicorn.Config(
                guard,
                log_level="error",
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=3,
            )
            yield Viewer(uvicorn.Server(config), listening, guard.address, guard.address_once)
        finally:
            for run in runs:
                run.index.close()


def _site(pages: Pages) -> Starlette:
    one, two = "/run/{run:int}", "/run/{run:int}/sample/{sample}"
    handlers = {
        HTTPException: pages.failed,
        SynthtutorError: pages.failed,
        sqlite3.Error: pages.failed,
    }
    return Starlette(
        routes=[
            Route("/", pages.home),
            Route(one, pages.samples),
            Route(f"{one}/state", pages.state),
            Route(f"{one}/people", pages.people),
            Route(two, pages.sample),
            Route(f"{two}/rating", pages.rate, methods=["POST"]),
            Route("/rater", pages.rename, methods=["POST"]),
            Route("/compare", pages.compare),
            Route("/compare/{sample}", pages.compare_sample),
            *(Route(f"/assets/{name}", _asset(name)) for name in _ASSETS),
        ],
        exception_handlers=handlers,
    )


def _asset(name: str) -> Callable[[Request], Response]:
    content = (files("synthtutor.viewer") / "assets" / name).read_bytes()

    def asset(_: Request) -> Response:
        return Response(content, media_type=_ASSETS[name])

    return asset

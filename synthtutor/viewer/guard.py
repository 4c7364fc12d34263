"""Who may use the page: whoever has the address, from a browser that was sent nowhere else.

The server listens on the loopback interface alone. That is not enough: every page that the same browser
shows can send requests there, and a name that its owner points to 127.0.0.1 makes such a page look
like ours. So each request must be addressed to the loopback interface by name (against DNS rebinding),
each must carry the secret, which a cookie holds that other sites' requests do not bring along, and one
that changes something must come from a page of ours (against forged requests): by its origin, and
where it is a plain form, which other pages can send too, by the key that only our forms hold.

The address that is printed can be used again. The one that a browser is started with is seen by
everybody who may list this machine's processes, so it is good for one visit only.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs

from markupsafe import escape
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synthtutor.viewer.forms import FORM

__all__ = ["HEADERS", "Guard"]

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none, browsers do not say where a form comes from
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_READING = ("GET", "HEAD")
_CHANGING = ("application/json", FORM)


class Guard:
    """An application around the application, which only lets through what may pass."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
        self._cookie = f"synthtutor-view-{port}"  # cookies do not know ports
        self._secret = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(24)
        self._once = {secrets.token_urlsafe(24)}
        self.address = f"http://127.0.0.1:{port}/?token={self._token}"
        self.address_once = f"http://127.0.0.1:{port}/?token={next(iter(self._once))}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette's and uvicorn's interface."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("This page is only for the machine it runs on.", 421)
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if token is not None and scope["method"] == "GET":
            return self._visit(token[-1], scope["path"])
        if not self._knows(headers.get("cookie", "")):
            return _asked_for_address()
        if scope["method"] not in _READING and (
            headers.get("origin") != f"http://{host}"
            or headers.get("content-type", "").partition(";")[0].strip() not in _CHANGING
        ):
            return PlainTextResponse("Only this page may change anything.", 403)
        return None

    def _visit(self, token: str, path: str) -> Response:
        """The cookie, and on to the page: by a page of ours, for a redirect would not bring it along."""
        given = token.encode()
        once = next((t for t in self._once if secrets.compare_digest(t.encode(), given)), None)
        if once is None and not secrets.compare_digest(self._token.encode(), given):
            return _asked_for_address()
        self._once.discard(once or "")
        on = escape(path if path.startswith("/") and not path.startswith("//") else "/")
        answer = HTMLResponse(
            f'<!doctype html><meta charset="utf-8"><title>synthtutor</title>'
            f'<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">'
            f'<meta http-equiv="refresh" content="0;url={on}"><a href="{on}">On to the samples</a>'
        )
        answer.set_cookie(self._cookie, self._secret, httponly=True, samesite="strict")
        return answer

    def _knows(self, header: str) -> bool:
        found = cookie_parser(header).get(self._cookie, "")
        return secrets.compare_digest(found.encode(), self._secret.encode())


def _asked_for_address() -> Response:
    return PlainTextResponse(
        "Open the address that `synthtutor view` printed: it holds the key to this page.", 403
    )

"""A hub on the loopback interface: repositories, plain and large files, one commit for an upload."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """What a hub holds, and what it was asked. Only ``tokens`` are let in.

    While it is ``closed`` it still says who they are, and does nothing else for them.
    """

    def __init__(self, *tokens: str) -> None:
        self.tokens = set(tokens)
        self.url = ""
        self.private: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.closed = False


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub, answering at ``hub.url`` until the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(self._allowed() or (200, {"type": "user", "name": "me"}))

        def do_POST(self) -> None:
            content = self._content()
            self._answer(self._allowed() or _posted(hub, self.path, content))

        def do_PUT(self) -> None:
            content = self._content()  # the address is the permission, as with object stores
            hub.blobs[hashlib.sha256(content).hexdigest()] = content
            self._answer((200, {}))

        def log_message(self, *_: Any) -> None:
            pass

        def _allowed(self) -> tuple[int, Any] | None:
            hub.asked.append(f"{self.command} {self.path}")
            token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            if token in hub.tokens and not (hub.closed and "whoami" not in self.path):
                return None
            return 401, {"error": "Invalid credentials in Authorization header"}

        def _content(self) -> bytes:
            if self.headers.get("transfer-encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _answer(self, answer: tuple[int, Any]) -> None:
            status, value = answer
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _posted(hub: Hub, path: str, content: bytes) -> tuple[int, Any]:
    if path == "/api/repos/create":
        return _created(hub, json.loads(content))
    if path == "/api/validate-yaml":
        return 200, {"errors": [], "warnings": []}
    if "/preupload/" in path:
        return 200, {"files": [_mode(file) for file in json.loads(content)["files"]]}
    if path.endswith("/info/lfs/objects/batch"):
        return 200, {"objects": [_place(hub, entry) for entry in json.loads(content)["objects"]]}
    if "/commit/" in path:
        return _committed(hub, path, content)
    return 404, {"error": f"nothing is at {path}"}


def _created(hub: Hub, body: dict[str, Any]) -> tuple[int, Any]:
    name = f"{body['organization']}/{body['name']}"
    there = name in hub.files
    if not there:
        hub.private[name] = body.get("private") is True or body.get("visibility") == "private"
        hub.files[name] = {}
    return (409 if there else 200), {"url": f"{hub.url}/{name}", "name": name}


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
    }


def _place(hub: Hub, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "actions": {"upload": {"href": f"{hub.url}/blobs/{entry['oid']}"}}}


def _committed(hub: Hub, path: str, content: bytes) -> tuple[int, Any]:
    name = path.removeprefix("/api/models/").partition("/commit/")[0]
    for line in content.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "file":
            hub.files[name][value["path"]] = base64.b64decode(value["content"])
        elif entry["key"] == "lfsFile":
            hub.files[name][value["path"]] = hub.blobs[value["oid"]]
    oid = "0" * 40
    return 200, {"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{name}/commit/{oid}"}

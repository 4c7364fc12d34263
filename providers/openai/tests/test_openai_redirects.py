"""A key goes to the address that was given, and no further."""

from __future__ import annotations

import pytest
from synthtutor_openai import OpenAI

from synthtutor.errors import ProviderError
from synthtutor.messages import Request, user
from synthtutor.provider import Endpoint
from synthtutor.testing.replies import http_answer
from synthtutor.testing.server import OpenAIServer
from synthtutor.testing.serving import Asked

KEY = "key-of-nobody-0123456789"


class Moved(OpenAIServer):
    """Sends every call elsewhere, or keeps the headers of those that are sent here."""

    def __init__(self, to: str = "") -> None:
        super().__init__()
        self.to = to
        self.told: list[str] = []

    def is_chat(self, method: str, path: str) -> bool:
        return False

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        self.told.append(str(dict(asked.headers)))
        return http_answer(307, b"", {"location": f"{self.to}{asked.path}"}) if self.to else None


@pytest.mark.parametrize("version", ["", "2024-10-21"], ids=["openai", "azure"])
async def test_a_redirect_takes_no_key_to_another_host(version: str) -> None:
    options = {"azure_api_version": version} if version else {}
    async with Moved() as elsewhere, Moved(elsewhere.root_url) as server:
        endpoint = Endpoint(base_url=server.root_url, api_key=KEY, options=options)
        provider = OpenAI(endpoint)
        with pytest.raises(ProviderError):
            await provider.complete(Request("openai/gpt-4o", [user("Hi.")]))
        await provider.aclose()
    assert KEY in server.told[0]
    assert elsewhere.told, "it was followed"
    assert not [told for told in elsewhere.told if KEY in told]

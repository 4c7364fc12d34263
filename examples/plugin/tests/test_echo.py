"""The contract that every provider's tests run. This one has no server, so most cases are named."""

from __future__ import annotations

import pytest
from synthtutor_example_echo import Echo

from synthtutor.errors import ConfigError
from synthtutor.messages import Request, Settings, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.server import FakeServer


class TestEcho(ProviderContract):
    model = "echo/any"
    cannot = dict.fromkeys(ProviderContract.of_the_wire, "it answers in this process") | {
        "structured_output": "it promises no JSON, and capabilities() says so",
    }

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Echo(endpoint)


async def test_it_says_the_last_message_as_often_as_asked() -> None:
    echo = Echo(Endpoint(options={"times": "2"}))
    response = await echo.complete(Request("echo/any", [user("Why?")]))
    assert (response.text, response.finish) == ("Why?\nWhy?", "stop")


async def test_a_long_echo_is_cut_at_max_tokens() -> None:
    request = Request("echo/any", [user("one two three")], settings=Settings(max_tokens=2))
    response = await Echo(Endpoint()).complete(request)
    assert (response.text, response.finish) == ("one two", "length")
    assert response.usage.output_tokens == 2


def test_an_option_that_is_no_number_is_told() -> None:
    with pytest.raises(ConfigError, match="times must be a whole number"):
        Echo(Endpoint(options={"times": "often"}))

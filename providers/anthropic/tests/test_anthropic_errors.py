"""What the API refuses, what the SDK raises, and what each of them means here."""

from __future__ import annotations

import inspect
import json

import anthropic
import httpx2
import pytest
from synthtutor_anthropic import Anthropic, translated

from synthtutor.errors import ProviderError, RateLimited, Rejected, Unauthorized, Unavailable
from synthtutor.messages import Message, Request, user
from synthtutor.provider import Endpoint
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply


async def error_of(
    *messages: Message, behaviour: Behaviour = plausible_reply, model: str = "claude-opus-5"
) -> ProviderError:
    """The error of one call."""
    async with AnthropicServer(behaviour) as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key="sk-ant-test"))
        with pytest.raises(ProviderError) as caught:
            await provider.complete(Request(f"anthropic/{model}", messages or [user("Hi.")]))
        await provider.aclose()
    return caught.value


# What the vendor refuses, in its own words


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Message("assistant", "Hello!"), user("Hi.")], "first message"),
        ([user("Hi."), Message("assistant", "I")], "Prefilling"),
    ],
)
async def test_a_conversation_that_the_api_refuses_is_rejected_in_its_words(
    messages: list[Message], words: str
) -> None:
    error = await error_of(*messages)
    assert words in str(error)
    assert isinstance(error, Rejected)
    assert error.reason == "request"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply.failure(400, "Your credit balance is too low."), Unauthorized),
        (Reply.failure(400, "Disabled.", code="organization_on_hold"), Unauthorized),
        (Reply.failure(402, "No card."), Unauthorized),
        (Reply.failure(429, "Stop.", code="enforced_spend_limit_reached"), Unauthorized),
        (Reply.failure(429, "Slower.", code="ramp_limit_exceeded"), RateLimited),
        (Reply.failure(413, "Request exceeds the maximum size"), Rejected),
        (Reply.failure(529, "Overloaded"), Unavailable),
    ],
)
async def test_the_vendors_own_codes_have_a_meaning(
    reply: Reply, kind: type[ProviderError]
) -> None:
    error = await error_of(behaviour=lambda _: reply)
    assert type(error) is kind
    assert error.status == reply.status


async def test_too_long_a_prompt_is_known_as_such() -> None:
    reply = Reply.failure(400, "prompt is too long: 213311 tokens > 200000 maximum")
    error = await error_of(behaviour=lambda _: reply)
    assert isinstance(error, Rejected)
    assert error.reason == "context"


# Every exception the SDK defines, and what it means here. Those with a code of their own are
# judged by status and code, like their parents: a new one in a new version of the SDK must either
# be such a child or get a line.
MEANINGS: dict[type[Exception], type[ProviderError]] = {
    anthropic.AnthropicError: Unavailable,
    anthropic.APIError: Unavailable,
    anthropic.APIConnectionError: Unavailable,
    anthropic.APITimeoutError: Unavailable,
    anthropic.APIResponseValidationError: Unavailable,
    anthropic.APIWebhookValidationError: Unavailable,
    anthropic.RetryableError: Unavailable,
    anthropic.CredentialsError: Unavailable,
    anthropic.IdentityTokenFileError: Unavailable,
    anthropic.WorkloadIdentityError: Unavailable,
    anthropic.APIStatusError: Rejected,  # with the status 418 below; the status decides
    anthropic.BadRequestError: Rejected,
    anthropic.AuthenticationError: Unauthorized,
    anthropic.PaymentRequiredError: Unauthorized,
    anthropic.PermissionDeniedError: Unauthorized,
    anthropic.NotFoundError: Rejected,
    anthropic.RequestTimeoutError: Unavailable,
    anthropic.ConflictError: Unavailable,
    anthropic.PreconditionFailedError: Unauthorized,
    anthropic.ContentTooLargeError: Rejected,
    anthropic.UnprocessableEntityError: Rejected,
    anthropic.RateLimitError: RateLimited,
    anthropic.RequestHeaderFieldsTooLargeError: Rejected,
    anthropic.ClientClosedRequestError: Rejected,
    anthropic.InternalServerError: Unavailable,
    anthropic.HTTPNotImplementedError: Unavailable,
    anthropic.ServiceUnavailableError: Unavailable,
    anthropic.GatewayTimeoutError: Unavailable,
    anthropic.OverloadedError: Unavailable,
}
STATUSES = {anthropic.InternalServerError: 500, anthropic.APIStatusError: 418}


def defined_by_the_sdk() -> set[type[Exception]]:
    return {
        value
        for module in (anthropic, anthropic._exceptions)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and value.__module__.startswith("anthropic")
    }


def example_of(kind: type[Exception]) -> Exception:
    asked = httpx2.Request("POST", "https://example.test/v1/messages")
    if issubclass(kind, anthropic.APIStatusError):
        status = STATUSES.get(kind) or kind.status_code
        return kind("said", response=httpx2.Response(status, request=asked), body=None)
    if kind is anthropic.APIResponseValidationError:
        return anthropic.APIResponseValidationError(httpx2.Response(200, request=asked), None)
    if kind is anthropic.APITimeoutError:
        return anthropic.APITimeoutError(asked)
    if kind is anthropic.APIConnectionError:
        return anthropic.APIConnectionError(request=asked)
    if issubclass(kind, anthropic.APIError):
        return kind("said", asked, body=None)
    return kind("said")


def meaning(kind: type[Exception]) -> type[ProviderError]:
    return next(MEANINGS[parent] for parent in kind.__mro__ if parent in MEANINGS)


@pytest.mark.parametrize("kind", sorted(defined_by_the_sdk(), key=str), ids=lambda k: k.__name__)
def test_every_error_of_the_sdk_is_translated(kind: type[Exception]) -> None:
    if kind.__mro__[1] in (anthropic.APIStatusError, anthropic.APIError, anthropic.AnthropicError):
        assert kind in MEANINGS, "a new kind of error"
    assert type(translated(example_of(kind))) is meaning(kind)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        httpx2.ConnectError("refused"),
        httpx2.TooManyRedirects("round and round"),
        json.JSONDecodeError("no", "{", 1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_the_sdk_lets_through_are_translated(error: Exception) -> None:
    assert type(translated(error)) is Unavailable


def test_a_mistake_of_ours_is_not_dressed_up_as_the_endpoints() -> None:
    with pytest.raises(KeyError):
        translated(KeyError("typo"))

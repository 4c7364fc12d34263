"""What a recipe talks to: `Session`. Each call it makes is journaled before the recipe goes on.

A call is keyed by its content: the sample, the branch, the request, and how often this
very request is asked there. So a changed prompt asks anew only what changed, and everything else
replays. Equal requests that run *concurrently* would swap their ordinals between runs; therefore
a session belongs to one task, and children that run beside each other each take a
:meth:`Session.branch`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Container, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

from synthtutor.asking import asked_again, first_request, is_no_answer, seeded
from synthtutor.errors import ConfigError, InvalidOutput, RecipeError
from synthtutor.journal import Call, Journal, Replay
from synthtutor.judge import Judgement, criteria_shape, judgement, lenient
from synthtutor.messages import Message, Request, Response, Schema, Settings, Usage
from synthtutor.prices import Price
from synthtutor.prompts import Prompts
from synthtutor.provider import Capabilities, Provider
from synthtutor.rubric import Rubric
from synthtutor.structured import Shape, shape_of

__all__ = ["CallSite", "Role", "RunContext", "Session", "call_at_hand"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Role:
    """A model as a recipe sees it: asked by role, answered by a provider at a price.

    ``overrides`` are settings that the run's user gave; they win over the recipe's.
    """

    model: str
    provider: Provider
    capabilities: Capabilities
    price: Price
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RunContext:
    """What all sessions of a run share.

    ``admit`` is asked before each new call and may refuse by raising. The samples in ``retry``
    ask again where a journaled reply is no answer. ``left_out`` counts, by model and setting, the
    calls whose recipe asked for a setting that the model does not take. ``rehearsing`` says that
    replies are filler.
    """

    journal: Journal
    roles: Mapping[str, Role]
    prompts: Prompts
    seed: int = 0
    reasks: int = 2
    retry: Container[bytes] = frozenset()
    rubric: Rubric | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    admit: Callable[[bytes], None] = lambda _sample: None
    rehearsing: bool = False
    left_out: dict[tuple[str, str], int] = field(default_factory=dict)
    replayed_calls: int = 0
    replayed_usd: float = 0.0
    reasked_calls: int = 0


@dataclass(slots=True)
class _Ledger:
    """What one sample has asked so far, all branches together."""

    replies: dict[bytes, Replay]
    branches: set[str] = field(default_factory=set)
    calls: list[dict[str, str]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    picodollars: int | None = 0  # whole ones: a sum of floats depends on which branch came first
    demonstration_only: bool = False


class _Asked(NamedTuple):
    """Who is asked, in which role, by which prompt, and how often before."""

    role: Role
    name: str
    stage: str
    schema: Schema | None
    attempt: int = 0


class CallSite(NamedTuple):
    """Where a recipe is when it asks: for a provider that answers by that.

    ``schema`` is that of the answer, also where the model only gets it within the prompt.
    """

    kind: str
    role: str
    stage: str
    attempt: int
    schema: Schema | None


call_at_hand: ContextVar[CallSite] = ContextVar("call_at_hand")


class Session:
    """One sample's line to the models.

    ``random`` is seeded by the run's seed, the sample and the branch: recipes use nothing else.
    """

    __slots__ = (
        "_branch",
        "_context",
        "_kind",
        "_ledger",
        "_ordinals",
        "_owner",
        "_random",
        "_reasoning",
        "sample",
    )

    def __init__(
        self,
        context: RunContext,
        sample: bytes,
        *,
        kind: str = "sample",
        branch: str = "",
        ledger: _Ledger | None = None,
    ) -> None:
        self.sample = sample
        self._context = context
        self._kind = kind
        self._branch = branch
        self._owner = asyncio.current_task()
        self._ordinals: dict[bytes, int] = {}
        self._random: random.Random | None = None
        self._reasoning = ""
        self._ledger = ledger or _Ledger(context.journal.replies(sample))

    @property
    def random(self) -> random.Random:
        """A generator that gives the same numbers in every run of the same seed."""
        if self._random is None:
            seed = f"{self._context.seed}|{self.sample.hex()}|{self._branch}"
            self._random = random.Random(seed)
        return self._random

    @property
    def reasoning(self) -> str:
        """What the model showed of its thinking before the latest answer here; often nothing."""
        return self._reasoning

    @property
    def rubric(self) -> Rubric:
        """The run's rubric. Raises ConfigError where the run has none."""
        if self._context.rubric is None:
            raise ConfigError("this recipe judges by a rubric: give --rubric NAME")
        return self._context.rubric

    @property
    def rehearsing(self) -> bool:
        """Whether nobody is asked: an estimate is made, and replies are filler in the asked form.

        A recipe that asks again for what it does not believe need not do so then.
        """
        return self._context.rehearsing

    def option(self, name: str) -> str | None:
        """One of the run's options for its recipe."""
        return self._context.options.get(name)

    def render(self, prompt: str, **values: object) -> Sequence[Message]:
        """The messages of a template, for text that a sample holds but no model is asked."""
        return self._context.prompts.render(prompt, values)

    def branch(self, name: str) -> Session:
        """A session for one concurrent child; call it *inside* the child's task.

        Raises RecipeError where the name was taken before in this sample.
        """
        path = f"{self._branch}/{name}"
        if path in self._ledger.branches:
            raise RecipeError(f"branch {path!r} was taken before: give each child its own name")
        self._ledger.branches.add(path)
        return Session(
            self._context, self.sample, kind=self._kind, branch=path, ledger=self._ledger
        )

    async def generate(
        self,
        type_: type[T],
        prompt: str | Sequence[Message],
        *,
        role: str = "writer",
        settings: Settings | None = None,
        **values: object,
    ) -> T:
        """Ask the role's model for a value of ``type_`` (``str`` for plain text).

        ``prompt`` is the name of a template (``….j2``, rendered with ``values``), messages, or
        the text of one user message. A reply that does not parse is asked again with the error,
        one cut by length with twice the room, a bounded number of times.

        Raises InvalidOutput where no reply is an answer, RecipeError for messages that are none, and
        ConfigError for an unknown role or for ``values`` that no template takes.
        """
        messages, stage = self._messages(prompt, values)
        return await self._parsed(shape_of(type_), messages, stage, role, settings or Settings())

    async def judge(
        self,
        text: str,
        rubric: Rubric,
        *,
        context: str = "",
        role: str = "judge",
        prompt: str = "judge.md.j2",
        settings: Settings | None = None,
    ) -> Judgement:
        """Have ``text`` judged criterion by criterion; answers are matched by id, never by position.

        ``context`` is what the text replies to. A judge that fails leaves verdicts in the third
        state (missing or failed); nothing is then kept by default.
        """
        shape = criteria_shape(rubric)
        judged = [criterion for criterion in rubric.criteria if criterion.kind == "judged"]
        messages, stage = self._messages(
            prompt, {"criteria": judged, "context": context, "text": text}
        )
        try:
            answers = await self._parsed(
                shape, messages, stage, role, settings or Settings(max_tokens=2048)
            )
        except InvalidOutput as error:
            answers = lenient(error)
        return judgement(rubric, answers, text)

    def lineage(self) -> dict[str, Any]:
        """Where the sample comes from: its calls in order, tokens and dollars (None: unknown price)."""
        asked = self._ledger
        mark = {"demonstration_only": True} if asked.demonstration_only else {}
        return {
            **mark,
            "sample": self.sample.hex(),
            "seed": self._context.seed,
            "calls": sorted(asked.calls, key=lambda call: call["branch"]),
            "input_tokens": asked.usage.input_tokens,
            "output_tokens": asked.usage.output_tokens,
            "cost_usd": None if asked.picodollars is None else round(asked.picodollars / 1e12, 9),
        }

    # ── one call ─────────────────────────────────────────────────────────────────────────────

    async def _parsed(
        self,
        shape: Shape[T],
        messages: Sequence[Message],
        stage: str,
        role_name: str,
        settings: Settings,
    ) -> T:
        role = self._role(role_name)
        if role.overrides:
            settings = replace(settings, **role.overrides)
        asked = _Asked(role, role_name, stage, shape.schema)
        for name in role.capabilities.left_out(settings):
            where = role.model, name
            self._context.left_out[where] = self._context.left_out.get(where, 0) + 1
        request = first_request(role.model, role.capabilities, messages, shape, settings)
        for attempt in range(self._context.reasks + 1):
            response = await self._answer(request, asked._replace(attempt=attempt), shape)
            self._reasoning = response.reasoning
            try:
                return shape.parse(response)
            except InvalidOutput as error:
                if error.kind == "refused" or attempt == self._context.reasks:
                    raise
                self._context.reasked_calls += 1
                request = asked_again(request, error)
        raise AssertionError("the last turn returns or raises")  # pragma: no cover

    async def _answer(self, request: Request, asked: _Asked, shape: Shape[Any]) -> Response:
        """The journaled reply, or a new one."""
        if asyncio.current_task() is not self._owner:
            raise RecipeError(
                "a session was used from a task that does not own it: "
                "call session.branch(name) inside the child task and use what it returns"
            )
        key = self._key(request)
        found = self._ledger.replies.pop(key, None)
        again = found is not None and self.sample in self._context.retry
        if found is not None and not (again and is_no_answer(shape, found.response)):
            self._context.replayed_calls += 1
            self._context.replayed_usd += found.cost_usd or 0.0
            self._book(found.response, found.cost_usd, asked)
            return found.response
        # A second try must not repeat the seed of the first, or a model repeats itself.
        salt = found.nth if found is not None and again else 0
        if asked.role.capabilities.seed and request.settings.seed is None:
            request = seeded(request, key, salt)
        return await self._pay(key, request, asked)

    async def _pay(self, key: bytes, request: Request, asked: _Asked) -> Response:
        self._context.admit(self.sample)
        call_at_hand.set(CallSite(self._kind, asked.name, asked.stage, asked.attempt, asked.schema))
        started = time.monotonic()
        response = await asked.role.provider.complete(request)
        cost = asked.role.price.cost(response.usage, batched=response.batched)
        await self._context.journal.put(
            Call(
                key=key,
                sample=self.sample,
                kind=self._kind,
                role=asked.name,
                stage=asked.stage,
                model=asked.role.model,
                request=request.to_json(),
                response=response,
                cost_usd=cost,
                seconds=time.monotonic() - started,
                attempt=asked.attempt,
            )
        )
        self._book(response, cost, asked)
        return response

    def _key(self, request: Request) -> bytes:
        digest = request.digest()
        nth = self._ordinals.get(digest, 0)
        self._ordinals[digest] = nth + 1
        where = f"{self._branch}\0{nth}\0{self._context.seed}\0"
        return blake2b(self.sample + where.encode() + digest, digest_size=16).digest()

    def _book(self, response: Response, cost: float | None, asked: _Asked) -> None:
        ledger, role = self._ledger, asked.role
        ledger.usage += response.usage
        ledger.demonstration_only |= role.capabilities.demonstration_only
        if cost is None or ledger.picodollars is None:
            ledger.picodollars = None
        else:
            ledger.picodollars += round(cost * 1e12)
        entry = {
            "branch": self._branch,
            "role": asked.name,
            "model": role.model,
            "prompt": asked.stage,
        }
        if response.model and not role.model.endswith(response.model):
            entry["served"] = response.model
        if asked.stage.endswith(".j2"):
            entry["prompt_digest"] = self._context.prompts.digest(asked.stage)
        ledger.calls.append(entry)

    def _role(self, name: str) -> Role:
        try:
            return self._context.roles[name]
        except KeyError:
            known = ", ".join(self._context.roles) or "none"
            raise ConfigError(
                f"no model for role {name!r} (roles with a model: {known}): "
                f"add --model {name}=provider/model"
            ) from None

    def _messages(
        self, prompt: str | Sequence[Message], values: Mapping[str, object]
    ) -> tuple[Sequence[Message], str]:
        if isinstance(prompt, str) and prompt.endswith(".j2"):
            return self._context.prompts.render(prompt, values), prompt
        if values:  # a misspelt argument would be ignored, row after row
            raise ConfigError(
                f"generate() has no argument {', '.join(values)}: values are for a template, a prompt "
                "that ends in .j2; sampling is settings=Settings(…)"
            )
        if isinstance(prompt, str):
            return [Message("user", prompt)], "text"
        for message in prompt:
            if not isinstance(message, Message):
                raise RecipeError(f"a prompt is made of Message, not of {message!r:.80}")
        if not prompt:
            raise RecipeError("a prompt needs at least one message")
        return prompt, "messages"

"""The configuration of a run: what the command line and the library say, as one checked value.

It is what ``run.yaml`` holds. There is no place in it for a key: keys come from the environment.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synthtutor.errors import ConfigError
from synthtutor.gathering import BatchPlan
from synthtutor.limits import Limits
from synthtutor.messages import Settings
from synthtutor.plugins import split_model
from synthtutor.yaml_text import read_yaml, said

__all__ = ["CONTENT_FIELDS", "RoleSettings", "RunConfig"]

# A change in one of these changes what is asked; the others only change how.
CONTENT_FIELDS = (
    "recipe",
    "rows",
    "n",
    "per_seed",
    "mode",
    "models",
    "rubric",
    "controls",
    "seed",
    "prompts",
    "settings",
    "options",
)


_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_URL = re.compile(r"https?://[^\s/?#]+", re.IGNORECASE)
_LARGEST = 2**63 - 1  # what JSON readers and SQLite hold
_Count = Annotated[int, Field(gt=0, le=_LARGEST)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RoleSettings(BaseModel):
    """Sampling for one role; what is given here wins over the recipe's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int | None = Field(default=None, gt=0, le=_LARGEST)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None

    def given(self) -> dict[str, Any]:
        """Only what was set."""
        return self.model_dump(exclude_none=True)

    def as_settings(self) -> Settings:
        """As a request would carry them."""
        return Settings(**self.given())


class RunConfig(BaseModel):
    """Everything that decides a run. Sizes are counts, times seconds, money US dollars."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "misconception"
    models: dict[str, str] = Field(default_factory=dict)
    rows: str | None = None
    n: _Count | None = None
    per_seed: _Count | None = None
    mode: str | None = None
    rubric: str | None = Field(default=None, min_length=1)
    controls: int = Field(default=8, ge=0, le=_LARGEST)
    seed: int = Field(default=0, ge=-_LARGEST, le=_LARGEST)
    prompts: str | None = None
    options: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, RoleSettings] = Field(default_factory=dict)
    base_urls: dict[str, str] = Field(default_factory=dict)
    provider_options: dict[str, dict[str, str]] = Field(default_factory=dict)
    prices: dict[str, tuple[_Dollars, _Dollars]] = Field(default_factory=dict)
    concurrency: _Count = 50
    requests_per_minute: _Positive | None = None
    tokens_per_minute: _Positive | None = None
    timeout_s: _Positive | None = None
    budget_usd: _Dollars | None = None
    max_tokens_total: _Count | None = None
    max_failed: float = Field(default=0.5, ge=0, le=1)
    batch: bool = False
    batch_size: _Count = 10_000
    batch_wait_s: _Positive = 5.0
    batch_poll_s: _Positive = 30.0

    @field_validator("models")
    @classmethod
    def _full_names(cls, models: dict[str, str]) -> dict[str, str]:
        for model in models.values():
            split_model(model)
        return models

    @field_validator("base_urls")
    @classmethod
    def _without_credentials(cls, urls: dict[str, str]) -> dict[str, str]:
        for name, url in urls.items():
            if "@" in url.partition("://")[2].partition("/")[0]:
                raise ValueError(f"{name}: put the key into the environment, not into the URL")
            if not _URL.match(url):
                raise ValueError(f"{name}: {url!r} is no URL; write http://HOST or https://HOST")
        return urls

    @classmethod
    def load(cls, path: Path, **overrides: Any) -> Self:
        """Read a YAML file. Raises ConfigError naming the file, the field and the fix."""
        data = read_yaml(path)
        data = {} if data is None else data
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: must be fields and values, such as 'recipe: misconception'")
        return cls.checked({**data, **overrides}, str(path))

    @classmethod
    def checked(cls, data: dict[str, Any], where: str = "configuration") -> Self:
        """The value, or a ConfigError that lists each wrong field in a line."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError("\n".join(_lines(error, where))) from None
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def save(self, path: Path) -> None:
        """Write it as YAML, leaving defaults out."""
        from synthtutor.export.destination import replacing

        data = self.model_dump(mode="json", exclude_defaults=True)
        data = {"recipe": self.recipe, **data}
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        with replacing(path) as whole:  # half a run.yaml would keep the run from resuming
            whole.write_text(text, encoding="utf-8")

    def limits(self) -> Limits:
        """What each model may be asked."""
        return Limits(
            concurrency=self.concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    def batch_plan(self) -> BatchPlan:
        """How calls gather into batches."""
        return BatchPlan(self.batch_size, self.batch_wait_s, self.batch_poll_s)

    def differences(self, earlier: RunConfig) -> list[str]:
        """What changed since an earlier configuration of the same run, a line each."""
        return [
            f"{name}: {_shown(getattr(earlier, name))} → {_shown(getattr(self, name))}"
            for name in CONTENT_FIELDS
            if getattr(earlier, name) != getattr(self, name)
        ]


def _lines(error: ValidationError, where: str) -> list[str]:
    return list(dict.fromkeys(f"{where}: {_line(dict(problem))}" for problem in error.errors()))


def _line(problem: dict[str, Any]) -> str:
    place = [str(part) for part in problem["loc"]]
    if place[0] == "prices" and len(place) > 2:
        return f"{'.'.join(place[:2])}: write [IN, OUT], dollars per million tokens"
    hint = said(problem)
    if problem["type"] == "extra_forbidden":
        fields = RoleSettings.model_fields if len(place) > 1 else RunConfig.model_fields
        alike = difflib.get_close_matches(place[-1], fields, n=1)
        hint = f"there is no such field{f'; did you mean {alike[0]}?' if alike else ''}"
    elif problem["type"] == "dict_type" and place == ["models"]:
        hint = "must be roles and models, such as {default: openai/gpt-5-mini}"
    elif place[0] == "prices" and len(place) == 2:
        hint = "write [IN, OUT], dollars per million tokens"
    return f"{'.'.join(place)}: {hint}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)

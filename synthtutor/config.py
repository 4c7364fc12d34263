"""The configuration of a run: what the command line and the library say, as one checked value.

It is what ``run.yaml`` holds. There is no place in it for a key: keys come from the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synthtutor.batches import BatchPlan
from synthtutor.errors import ConfigError
from synthtutor.limits import Limits
from synthtutor.messages import Settings
from synthtutor.plugins import split_model

__all__ = ["CONTENT_FIELDS", "RunConfig"]

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


class RoleSettings(BaseModel):
    """Sampling for one role; what is given here wins over the recipe's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int | None = Field(None, gt=0)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
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
    n: int | None = Field(None, gt=0)
    per_seed: int | None = Field(None, gt=0)
    mode: str | None = None
    rubric: str | None = None
    controls: int = Field(8, ge=0)
    seed: int = 0
    prompts: str | None = None
    options: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, RoleSettings] = Field(default_factory=dict)
    base_urls: dict[str, str] = Field(default_factory=dict)
    provider_options: dict[str, dict[str, str]] = Field(default_factory=dict)
    prices: dict[str, tuple[_Dollars, _Dollars]] = Field(default_factory=dict)
    concurrency: int = Field(50, gt=0)
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    timeout_s: float | None = Field(None, gt=0)
    budget_usd: float | None = Field(None, ge=0)
    max_tokens_total: int | None = Field(None, gt=0)
    max_failed: float = Field(0.5, ge=0, le=1)
    batch: bool = False
    batch_size: int = Field(10_000, gt=0)
    batch_wait_s: float = Field(5.0, gt=0)
    batch_poll_s: float = Field(30.0, gt=0)

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
        return urls

    @classmethod
    def load(cls, path: Path, **overrides: Any) -> Self:
        """Read a YAML file. Raises ConfigError naming the file, the field and the fix."""
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not YAML: {error}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: must be fields and values, such as 'recipe: misconception'")
        return cls.checked({**data, **overrides}, str(path))

    @classmethod
    def checked(cls, data: dict[str, Any], where: str = "configuration") -> Self:
        """The value, or a ConfigError that lists each wrong field in a line."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError("\n".join(_lines(error, where, tuple(cls.model_fields)))) from None
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


def _lines(error: ValidationError, where: str, fields: tuple[str, ...]) -> list[str]:
    import difflib

    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        hint = problem["msg"]
        if problem["type"] == "extra_forbidden":
            alike = difflib.get_close_matches(name, fields, n=1)
            hint = f"there is no such field{f'; did you mean {alike[0]}?' if alike else ''}"
        lines.append(f"{where}: {name}: {hint}")
    return lines


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)

"""An endpoint that remembers where its provider's key was looked for and found."""

from __future__ import annotations

from dataclasses import dataclass, field

from synthtutor.keys import Key, find
from synthtutor.provider import Endpoint

__all__ = ["NotingEndpoint"]


@dataclass(frozen=True)
class NotingEndpoint(Endpoint):
    """An endpoint that notes the variables its provider looks for a key in, and what was found."""

    variables: list[str] = field(default_factory=list)
    found: list[Key] = field(default_factory=list, repr=False)

    def key(self, *variables: str) -> str:
        """As every endpoint's."""
        self.variables.extend(variables)
        if self.api_key:
            return self.api_key
        self.found.append(find(*variables))
        return self.found[-1].value

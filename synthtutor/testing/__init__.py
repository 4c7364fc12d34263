"""What ships for tests: a provider that never leaves the process, and the contract for real ones."""

from synthtutor.testing.scripted import Scripted, ScriptedProvider

__all__ = ["Scripted", "ScriptedProvider"]

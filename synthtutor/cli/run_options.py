"""The options of a run that ``calibrate``, ``predict``, ``evaluate`` and ``compare`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Budget = Annotated[float | None, typer.Option(help="US dollars that may be spent.")]
Price = Annotated[
    list[str] | None, typer.Option(help="provider/model=IN/OUT, dollars per million tokens.")
]
Concurrency = Annotated[int | None, typer.Option(help="Calls in flight [50].")]
Seed = Annotated[int | None, typer.Option(help="The run's seed [0].")]
Prompts = Annotated[
    Path | None, typer.Option(help="Folder whose prompt files replace the built-in ones.")
]
BaseUrl = Annotated[list[str] | None, typer.Option(help="Endpoint URL. Never with a key in it.")]
JudgeTemperature = Annotated[float | None, typer.Option(help="The judge's temperature.")]
JudgeMaxTokens = Annotated[int | None, typer.Option(help="The judge's longest reply, in tokens.")]
ProviderOption = Annotated[
    list[str] | None, typer.Option(help="PROVIDER.NAME=VALUE for a provider. Repeatable.")
]
Batch = Annotated[
    bool | None, typer.Option("--batch/--no-batch", help="Use the vendor's batch API.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again what was refused or cut before.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines; the last is the result.")]

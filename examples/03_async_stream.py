"""Take samples as they finish, from async code, and stop when there are enough.

python examples/03_async_stream.py [PROVIDER/MODEL]
"""

import asyncio
import sys

from synthtutor import running

WANTED = 5


async def main(model: str) -> None:
    """Leaving the block stops the run; what has been answered is in the journal."""
    seen = 0
    async with running("misconception", models=model, n=500, out="runs/stream") as samples:
        async for sample in samples:
            seen += 1
            subject = sample.body["metadata"].get("subject", "")
            print(f"{seen}. {sample.outcome}: {subject} {sample.reason[:60]}", flush=True)
            if seen == WANTED:
                break
    print(f"stopped after {seen}; run it again, and these come from the journal")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "scripted/any"))

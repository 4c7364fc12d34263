"""How a process ends that has sent requests through pyreqwest."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from synthtutor.testing.replies import fixed
from synthtutor.testing.server import OpenAIServer
from tests.threads import serving

# The thread that hands replies over gets the CPU only while nobody else wants it, and the
# interpreter when it is given up: so it is in the middle of handing over when the process ends.
ENDS_EARLY = """
import asyncio, os, sys
from pathlib import Path
from synthtutor.provider import Endpoint
from synthtutor.transport import http_client

async def ask(url):
    client = http_client(Endpoint(), fast=True)
    for turn in range(4):
        assert (await client.post(url, json={"messages": []})).status_code
        for task in Path("/proc/self/task").iterdir():
            if "pyreqwest" in (task / "comm").read_text():
                os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.setswitchinterval(5)
asyncio.new_event_loop().run_until_complete(ask(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="needs Linux's scheduler")
def test_a_process_ends_well_while_a_reply_is_still_being_handed_over() -> None:
    with serving(OpenAIServer(fixed("Here."), keep=False)) as server:
        url = f"{server.base_url}/chat/completions"
        for _ in range(5):  # without a wait, four of five abort
            command = [sys.executable, "-W", "ignore", "-c", ENDS_EARLY, url]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stderr

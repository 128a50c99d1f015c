"""The fake agent passes the checks that the real one passes, so that tests may stand on it."""

from __future__ import annotations

import pytest

from firkin.agent import AgentClient
from firkin.testing.check_agent import CHECKS
from firkin.testing.fake_agent import fake_machine


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_fake_agent_keeps_the_contract(check):
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "fake") as client:
        await client.start()
        await check(client)

"""Fixtures for the tests of the upstreams: a vendor to script, and litellm's wire to call it."""

from collections.abc import AsyncIterator

import pytest

from proxy.tests.vendors.server import Vendor
from proxy.upstreams.litellm_wire import LitellmWire


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as vendor:
        yield vendor


@pytest.fixture
async def wire() -> AsyncIterator[LitellmWire]:
    wire = LitellmWire()
    yield wire
    await wire.close()

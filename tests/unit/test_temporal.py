"""Connecting to Temporal where none answers."""

import pytest

from orchestrator.services import free_port
from orchestrator.settings import load_settings
from orchestrator.temporal import TemporalUnreachable, connect


async def test_a_temporal_that_is_not_there_is_named_without_the_insides_of_a_library() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TemporalUnreachable) as raised:
        await connect(load_settings(temporal_address=address), within=5)
    assert str(raised.value) == (
        f"Temporal does not answer at {address}. Check that it runs there, and TEMPORAL_ADDRESS or the profile."
    )
    assert raised.value.__cause__ is not None

"""A prepared call of a script is the call itself, packed in two goes."""

from pathlib import Path
from typing import Any

import hiredis
import pytest

from accounts.redis import Prepared, Script

WORDS = ["", "a", "{gw}:é", b"\r\n$3\r\n", 7, -1, 2.5, "x" * 3000]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "script.lua"
    path.write_text("return 1")
    return Script(path)


@pytest.mark.parametrize("first", [[], ["k1"], ["k1", "k2"]])
@pytest.mark.parametrize("more", [[], ["k3"], WORDS])
@pytest.mark.parametrize("args", [[], [1], WORDS])
@pytest.mark.parametrize("more_args", [[], WORDS])
def test_it_is_packed_as_a_whole_call_is(
    script: Script, first: list[str], more: list[Any], args: list[Any], more_args: list[Any]
):
    prepared = Prepared(script, first, args, more_keys=len(more), more_args=len(more_args))
    whole = ("EVALSHA", script.sha, len(first) + len(more), *first, *more, *args, *more_args)
    assert prepared.pack(more, more_args) == hiredis.pack_command(whole)
    assert prepared.command(more, more_args) == whole

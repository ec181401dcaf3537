"""Memory over very many requests: it must be flat."""

from benchmarks.speed.load import whole
from benchmarks.speed.peers import Server
from benchmarks.speed.processes import memory_mb
from benchmarks.speed.stage import Stage

STEP_S = 10.0
# Warm: pools are filled, litellm is imported where it will be, allocators have what they need.
WARM_SHARE = 0.1


def soak(stage: Stage, server: Server, requests: int) -> dict[str, float]:
    """{requests, warm_mb, end_mb, grown_mb}: memory after a tenth of the requests, and after all of them."""
    assert server.process is not None
    done, warm_mb = 0, 0.0
    while done < requests:
        done += whole(server.ask(), 64, STEP_S, stage.folder).requests
        if not warm_mb and done >= requests * WARM_SHARE:
            warm_mb = memory_mb(server.process)
    end_mb = memory_mb(server.process)
    return {"requests": done, "warm_mb": warm_mb, "end_mb": end_mb, "grown_mb": end_mb - warm_mb}

"""A streamed answer on its way from a provider: metered, and never silent for too long."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from proxy.meter import Meter
from proxy.silence import SilenceWatch
from proxy.stall import StallWatch, stalled
from proxy.upstreams.base import Event, PushSource, Take
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.fast_path import FastPath


class Stream:
    """A streamed answer whose first content is here: `head` holds what came so far.

    `has_ended` says that what was handed over last is the last of it. It is false, too, where the source cannot tell.

    Iterating gives the rest; `flow` hands it over instead. Both raise UpstreamFailure where the answer breaks off, and
    TimedOut where the model falls silent for longer than `stall_s`. Close it, whatever happens: that ends the call to
    the provider.
    """

    def __init__(self, source: AsyncIterator[Sequence[Event]], meter: Meter, head: list[Event], stall_s: float) -> None:
        self.head = head
        self.meter = meter
        self._source = source
        self._push_source = source if isinstance(source, PushSource) else None
        self._stall_s = stall_s
        self._stall_watch: StallWatch | None = None
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._silence_watch: SilenceWatch | None = None
        self._note_end()

    async def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        while (events := await self.read_before_stall()) is not None:
            yield events

    async def read(self) -> Sequence[Event] | None:
        """The next events, waiting as long as the caller does; None at the end of a whole answer."""
        try:
            events = await anext(self._source)
        except StopAsyncIteration:
            self.meter.require_whole()
            return None
        self._note_end()
        self.meter.feed(events)
        return events

    async def read_before_stall(self) -> Sequence[Event] | None:
        """The same; raises TimedOut at a stall."""
        if self._stall_watch is None:
            self._stall_watch = StallWatch(self._stall_s)
        with self._stall_watch:
            return await self.read()

    async def flow(self, take: Take, fast_path: FastPath) -> None:
        """Hand over the rest, if possible in the turn of the event loop that it arrives in, until it is whole."""
        if self._push_source:
            await self._flow_from(self._push_source, take, fast_path)
        else:
            while (events := await self.read_before_stall()) is not None:
                take(events)
                await self._may_go_on.wait()

    async def _flow_from(self, source: PushSource, take: Take, fast_path: FastPath) -> None:
        feed = self.meter.feed

        def take_noted(events: Sequence[Event]) -> None:
            watch.heard = True
            try:
                feed(events)
            except UpstreamFailure:
                if heard := list(_sound(events)):  # which was counted, so the caller gets it
                    take(heard)
                raise
            self.has_ended = source.has_ended
            take(events)

        def look() -> None:
            if self._may_go_on.is_set() and not end.done():
                fast_path.stop()
                end.set_exception(stalled(self._stall_s))

        self._silence_watch = watch = SilenceWatch(self._stall_s, look, self.meter.delivered)
        try:
            end = source.flow(take_noted, fast_path)
            await end
        finally:
            watch.stop()
            fast_path.stop()
        self.meter.require_whole()

    def hold(self) -> None:
        """Hold the provider back, where that is possible: `take` cannot keep up."""
        self._may_go_on.clear()
        if self._push_source:
            self._push_source.hold()

    def go_on(self) -> None:
        if self._silence_watch:
            self._silence_watch.heard = True  # until now it was the caller who was waited for
        self._may_go_on.set()
        if self._push_source:
            self._push_source.go_on()

    def _note_end(self) -> None:
        self.has_ended = self._push_source is not None and self._push_source.has_ended

    async def close(self) -> None:
        if self._stall_watch:
            self._stall_watch.stop()
        await self._source.aclose()  # type: ignore[attr-defined]  # of a generator or a PushSource, see Upstream.stream


def _sound(events: Iterable[Event]) -> Iterator[Event]:
    """Those before the first that no meter takes."""
    meter = Meter()
    for event in events:
        try:
            meter.feed([event])
        except UpstreamFailure:
            return
        yield event

"""The ledger against a model of it: whatever happens in whatever order, each request counts once, for what it used.

The model is a list of requests. What they reserve and spend together is what the counters must say, and their rows what
the database must: at each step, or where Redis lost something, once the stream is drained.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings, strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, rule, run_state_machine_as_test
from pytest_django import Settings

from accounts.ledger import Ask, OtherMonth, Reservation, Settlement, epoch, keys, sweep
from accounts.ledger.refusals import BudgetRefusal
from accounts.ledger.sweep import DEAD_AFTER_S
from accounts.limits import Month
from accounts.quota import Quota
from accounts.redis import sync_client
from accounts.tests.clock import RedisClock
from accounts.tests.ledgers import counted
from proxy.models import Usage
from proxy.tests.ledger_requests import KEYS, Request
from proxy.tests.ledger_world import LIMITS, MOMENTS, MONTHS, PROCESSES, UTC_ZONE, LedgerWorld, note_progress
from proxy.usage.drain import drain
from proxy.usage.reconciliation import differences

numbers = st.integers(0, 400)
processes = st.integers(0, PROCESSES - 1)


class LedgerModel(LedgerWorld):
    """Three processes, one tenant, one user with two keys, two months.

    `is_exact`: nothing was lost since the last drain. Until then counters may say too much, but never too little;
    but for late settlements (`is_safe`) that were recorded, and are made again because Redis lost its last second: what
    the sweep had guessed too much is taken off twice, until the drain, a second later, finds that out.
    """

    requests = Bundle("requests")

    @initialize(target=requests)
    def open(self) -> Any:
        """With a few requests under way, so that from the first step on there is something to end."""
        self.begin()
        first = [
            self.admitted([self.make_request(number % PROCESSES, KEYS[number % 2], 100)])[0] for number in range(6)
        ]
        for request in first[:4]:
            self.deliver(request, 30)
        return multiple(*first)

    # ---- What can happen -----------------------------------------------------------------------------------------

    @rule(target=requests, place=processes, key=st.sampled_from(KEYS), bounds=st.lists(numbers, min_size=1, max_size=2))
    def admit(self, place: int, key: str, bounds: list[int]) -> Any:
        """One request, or two together: all or none."""
        made = [self.make_request(place, key, bound) for bound in bounds]
        refusal = self.expected_refusal(key, sum(bounds))
        if refusal is None:
            return multiple(*self.admitted(made))
        with pytest.raises(BudgetRefusal) as refused:
            self.run(self.processes[place].ledger.admit(self.ask_of(made)))
        assert type(refused.value) is refusal
        return multiple()

    @rule(place=processes, tokens=st.integers(1, 100))
    def lose_the_reply_of_an_admission(self, place: int, tokens: int) -> None:
        """Its caller was told 503, so nothing may stay reserved."""
        request = self.make_request(place, KEYS[0], tokens)
        if self.expected_refusal(KEYS[0], tokens) is None:
            ledger = self.processes[place].ledger
            self.run(ledger.admit(self.ask_of([request])))
            del ledger._open[request.name]
            self.release_strays(ledger)

    @rule()
    def ask_for_another_month(self) -> None:
        ledger = self.processes[0].ledger
        request = self.make_request(0, KEYS[0], 1)
        other = Month(UTC_ZONE, *map(int, MONTHS[1 - self.month].split("-")))
        with pytest.raises(OtherMonth):
            self.run(ledger.admit(Ask(1, Quota(other), [Reservation(request.name, request.record, 1)])))

    @rule(request=requests, delivered=numbers)
    def deliver(self, request: Request, delivered: int) -> None:
        """A stream reaches a checkpoint."""
        if self.is_held(request) and request.state == "open":
            request.delivered += delivered
            self.run(note_progress(self.processes[request.place].ledger, request))

    @rule(request=requests, used=numbers)
    def settle(self, request: Request, used: int) -> None:
        """Also late, after the sweep took its process for dead: then the difference counts."""
        if self.is_held(request):
            self.is_exact &= not request.held_again
            request.state, request.used, request.recorded, request.held_again = "settled", used, False, False
            assert self.run(self.processes[request.place].ledger.settle(request.settlement))
            request.is_marked = True

    @rule(request=requests, used=numbers)
    def settle_again(self, request: Request, used: int) -> None:
        """Once is enough. Where Redis lost its marks, the drain finds that there is a row."""
        if request.state == "settled" and self.is_alive(request):
            again = Settlement(request.name, request.settlement.event, request.used, request.counters)
            counts = self.run(self.processes[request.place].ledger.settle(again))
            assert not (counts and request.is_marked)
            request.is_marked = True
            self.is_exact &= not counts

    @rule(place=processes)
    def crash(self, place: int) -> None:
        self.run(self.processes[place].client.close())
        self.processes[place] = self.spawn()

    @rule(place=processes)
    def take_for_dead(self, place: int) -> None:
        """The sweep settles for a process that only was silent for a while, and for all that are dead."""
        alive = [process for process in self.processes if process is not self.processes[place]]
        silent = [name for name in self.beats() if name not in {process.ledger.process for process in alive}]
        sync_client().zadd(keys.PROCESSES, dict.fromkeys(silent, self.seconds() - DEAD_AFTER_S - 1))
        sweep()
        for request in list(self.known.values()):
            if request.life not in {process.life for process in alive}:
                self.is_exact &= not request.held_again
                request.sweep()
        self.run(self.processes[place].ledger.heartbeat())

    @rule(place=processes)
    def beat(self, place: int) -> None:
        """The process forgets what is recorded."""
        self.run(self.processes[place].ledger.heartbeat())

    @rule()
    def record(self) -> None:
        """The drain: afterwards nothing is uncertain, and every request that has ended has its row."""
        drain()
        self.is_exact = self.is_safe = True
        ended = {request.name: request for request in self.ended()}
        for request in ended.values():
            request.note_record(request.state)
        rows = {row.request_id: row.total_tokens for row in Usage.objects.all()}
        assert rows == {name: request.used for name, request in ended.items()}
        assert [difference for month in MONTHS for difference in differences(month)] == []

    @rule()
    def lose_redis(self) -> None:
        """It comes back empty: what only it and a dead process knew is gone, and nothing else."""
        sync_client().flushdb()
        for request in list(self.known.values()):
            request.is_marked = request.is_marked and not request.recorded
            request.held_again = False
            if self.is_alive(request):
                request.come_back()
            elif not request.recorded:
                self.forget(request)
        self.start_anew()

    @rule(data=st.data(), recorded=st.booleans())
    def lose_the_last_second(self, data: st.DataObject, recorded: bool) -> None:
        """Redis comes back as it was before some settlements, which may be recorded already."""
        before = {name: sync_client().dump(name) or b"" for name in self.names()}
        waiting = [(request, request.state) for request in self.ended()]
        held = [request for request in self.known.values() if self.is_held(request)]
        for request in data.draw(st.lists(st.sampled_from(held), unique=True), "settled") if held else []:
            self.settle(request, data.draw(numbers, "used"))
        if recorded:
            self.record()
        sync_client().flushdb()
        for name, value in before.items():
            sync_client().restore(name, 0, value)
        epoch.end()
        self.start_anew()
        for request, state in waiting:  # what comes back in the stream is drained before the counters are rebuilt
            request.note_record(state)
            self.is_safe &= not (recorded and state == "swept" and request.state == "settled")
        for request in self.known.values():
            if self.is_alive(request):  # it brings along what it has not settled itself
                request.held_again = request.state == "swept"
            request.is_marked = request.is_marked and not request.recorded  # the marks of before are gone
        for process in self.processes:
            self.release_strays(process.ledger)

    @rule(scope=st.sampled_from(list(LIMITS)), tokens=st.integers(-300, 300))
    def top_up(self, scope: str, tokens: int) -> None:
        self.top_ups[scope, MONTHS[self.month]] += tokens

    @rule()
    def begin_another_month(self) -> None:
        """What was admitted before is settled in its own."""
        self.month = 1
        self.clock.set(MOMENTS[1])

    # ---- What must be so -----------------------------------------------------------------------------------------

    @invariant()
    def counters_say_what_the_model_says(self) -> None:
        spent, reserved = Counter[str](), Counter[str]()
        for request in self.known.values():
            for counter in request.counters:
                spent[counter] += request.used
                reserved[counter] += request.reserves
        for counter in {budget.counter(month) for month in MONTHS for key in KEYS for budget in self.budgets(key)}:
            now_spent, now_reserved = counted(counter)
            assert now_reserved == reserved[counter]
            assert now_spent == spent[counter] or not self.is_exact
            assert now_spent >= spent[counter] or not self.is_safe


@pytest.mark.django_db(transaction=True)
def test_the_ledger_does_what_its_model_does(redis_clock: RedisClock, settings: Settings):
    """The same examples each time; fewer where each step is several round trips."""
    settings.GATEWAY_REDIS_TIMEOUT_S = 10  # what is tested is no matter of time
    LedgerModel.clock = redis_clock
    examples = 30 if settings.EMBEDDED else 8
    run_state_machine_as_test(
        LedgerModel,
        settings=hypothesis_settings(
            max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None
        ),
    )

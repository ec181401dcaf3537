"""The time to the first byte of the pages that look at much: history, leaderboard, review, the admin's ledgers.

    DATABASE_URL=… REDIS_URL=… python -m benchmarks.pages [--comparisons 100000] [--usage 1000000] [--repeats 15]

Fills a test database that it makes and drops with one big tenant and a small one, starts the web server on it, and
asks for each page as a browser or a client would. Prints a line of JSON for each page: {page, first_ms, best_ms,
median_ms, worst_ms}, which are the first request of all, with nothing in any cache of ours, and those after it. The
target for each median is 200 ms, on a machine that has nothing else to do; where one is slower, it ends with code 2.
Refuses a Redis that is in use.
"""

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import django
from django.db import connection

if TYPE_CHECKING:
    from django.db.models import Model

    from accounts.models import Tenant, User

TARGET_MS = 200
TOO_SLOW = 2  # the exit code
NAMES = ("first_ms", "best_ms", "median_ms", "worst_ms")
PATIENCE_S = 60
PAGES = [
    "/comparisons/",
    "/comparisons/?after={middle}",
    "/comparisons/?q={word}",
    "/comparisons/?q=sky",
    "/comparisons/?model=xai/grok-fast",
    "/comparisons/?winner=xai/grok-fast",
    "/comparisons/?winner=all_bad",
    "/comparisons/?tag=topic-3&author=carol&status=partial",
    "/comparisons/?q=nowhere",
    "/comparisons/{middle}",
    "/v1/comparisons",
    "/v1/comparisons?after={middle}&limit=100",
    "/v1/comparisons?q={word}",
    "/v1/comparisons?winner=xai/grok-fast&tag=topic-3",
    "/comparisons/leaderboard/?count=1",  # the first one counts, as the page asks for behind its first byte
    "/comparisons/leaderboard/",
    "/comparisons/leaderboard/?tag=topic-3",
    "/comparisons/leaderboard/?period=7",
    "/comparisons/review/{review}/",
    "/admin/proxy/usage/",
    "/admin/proxy/usage/?status__exact=failed",
    "/admin/proxy/usage/?q=alice",
    "/admin/comparisons/comparison/",
    "/admin/comparisons/comparison/?q={word}",
    "/admin/comparisons/comparison/?status__exact=partial",
    "/admin/comparisons/vote/",
]
MODELS = [
    "openai/gpt-4o-mini",
    "openai/gpt-5",
    "anthropic/claude-haiku",
    "anthropic/claude-sonnet",
    "groq/llama-3.3-70b",
    "groq/kimi-k2",
    "gemini/gemini-flash",
    "gemini/gemini-pro",
    "mistral/mistral-small",
    "mistral/mistral-large",
    "deepseek/deepseek-chat",
    "xai/grok-fast",
]
ANSWER = "The sky is blue because air scatters short waves of light more than long ones. " * 8

# A number that a comparison always gives, whatever rows were made before.
HASH = "abs(hashtext(c.id))"
SLOTS = f"(2 + {HASH} % 3)"
MODEL = f"(%(models)s::text[])[1 + ({HASH} + nth * (1 + {HASH} % 5)) % 12]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=100_000)
    parser.add_argument("--usage", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-this-benchmark")
    django.setup()
    measure(arguments.comparisons, arguments.usage, arguments.repeats)


def measure(comparisons: int, usage: int, repeats: int) -> None:
    from accounts.redis import sync_client  # noqa: PLC0415 - settings load with django.setup()

    if connection.vendor != "postgresql" or sync_client().dbsize():
        sys.exit("Set DATABASE_URL, and a REDIS_URL of the benchmark's own: it is emptied afterwards.")
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        headers, pages = fill(comparisons, usage)
        with web_server(connection.settings_dict["NAME"]) as port:
            slow = [page for page in pages if not is_quick(port, page, headers, repeats)]
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
        sync_client().flushdb()
    if slow:
        print(f"Slower than {TARGET_MS} ms: {', '.join(slow)}", file=sys.stderr)
        sys.exit(TOO_SLOW)


@contextmanager
def web_server(database: str) -> Iterator[int]:
    """One worker on that database; the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}")
    environment = {**os.environ, "DATABASE_URL": urlunsplit(address)}
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("The web server does not start.")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port, "/health/ready", {}) > 0
    return False


def is_quick(port: int, page: str, headers: dict[str, str], repeats: int) -> bool:
    first, *others = (ask(port, page, headers) for _ in range(repeats + 1))
    median = statistics.median(others)
    figures = {name: round(ms) for name, ms in zip(NAMES, (first, min(others), median, max(others)), strict=True)}
    print(json.dumps({"page": page, **figures}), flush=True)
    return median <= TARGET_MS


def ask(port: int, page: str, headers: dict[str, str]) -> float:
    """Milliseconds until the first byte of the body; exits where the answer is none."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    began = time.perf_counter()
    client.request("GET", page, headers=headers)
    response = client.getresponse()
    response.read(1)
    waited_ms = (time.perf_counter() - began) * 1000
    response.read()
    client.close()
    if response.status != http.client.OK and page != "/health/ready":
        sys.exit(f"{page} answered {response.status}.")
    return waited_ms if response.status == http.client.OK else 0.0


def fill(comparisons: int, usage: int) -> tuple[dict[str, str], list[str]]:
    """One tenant with so many comparisons and usage rows, a second one with a few; who asks, and for which pages."""
    from accounts.models import APIKey, Tenant, User  # noqa: PLC0415 - models load after django.setup()
    from comparisons.models import Comparison  # noqa: PLC0415

    acme, globex = (Tenant.objects.create(name=name) for name in ("acme", "globex"))
    people = [User.objects.create_user(name, tenant=acme, role="tenant_admin") for name in ("alice", "bob", "carol")]
    compare(acme, people, comparisons)
    compare(globex, [User.objects.create_user("charlie", tenant=globex)], comparisons // 1000)
    use(acme, people[0], usage)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    headers = {"Cookie": f"sessionid={session_of(people[0])}", "X-Api-Key": APIKey.issue(people[0], "benchmark")[1]}
    middle = Comparison.objects.filter(tenant=acme)[comparisons // 2]
    reviewed = Comparison.objects.filter(tenant=acme).to_review_by(people[0]).first()
    assert reviewed
    return headers, [page.format(middle=middle.pk, word=middle.prompt[27:37], review=reviewed.pk) for page in PAGES]


def compare(tenant: "Tenant", people: list["User"], count: int) -> None:
    """Comparisons over a year, of two to four models each; one in twenty has an answer that failed."""
    from comparisons.models import Answer, Comparison, ComparisonTag, Vote  # noqa: PLC0415

    author = people[-1]
    comparison = Comparison.objects.create(
        id="cmp_0", tenant=tenant, author=author, author_name=author.username, wall_ms=2000, cost_microusd=3000
    )
    of_tenant = f"comparisons_comparison c WHERE c.tenant_id = {tenant.pk} AND c.id <> 'cmp_0'"
    rows = [
        Answer(comparison=comparison, slot=0, ttft_ms=0, latency_ms=0, content=ANSWER, response={"content": ANSWER}),
        ComparisonTag(comparison=comparison, tenant=tenant, name=""),
        Vote(comparison=comparison, verdict="tie"),
    ]
    for row in rows:
        row.save()
    multiply(
        comparison,
        f"generate_series(1, {count}) n, LATERAL (SELECT now() - n * interval '365 days' / {count} AS at) clock",
        id=f"""'cmp_' || lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || substr(md5({tenant.pk} || '-' || n), 1, 20)""",
        title="'Question ' || n",
        prompt="'Why is the sky blue over ' || md5(n::text) || '? ' || repeat('Explain it well. ', 12)",
        messages="""jsonb_build_array(jsonb_build_object('role', 'user', 'content',
            'Why is the sky blue over ' || md5(n::text) || '? ' || repeat('Explain it well. ', 12)))""",
        status="CASE WHEN n % 20 = 0 THEN 'partial' ELSE 'complete' END",
        created_at="at",
        finished_at="at + interval '2 s'",
    )
    multiply(
        rows[0],
        f"generate_series(0, 3) nth, {of_tenant} AND nth < {SLOTS}",
        comparison_id="c.id",
        slot="nth",
        label="chr(65 + nth)",
        requested_model=MODEL,
        resolved_model=MODEL,
        provider=f"split_part({MODEL}, '/', 1)",
        status="CASE WHEN nth = 1 AND c.status = 'partial' THEN 'error' ELSE 'ok' END",
        ttft_ms="100 + (random() * 400)::int",
        latency_ms="500 + (random() * 4000)::int",
        cost_microusd="(random() * 5000)::int",
    )
    multiply(rows[1], of_tenant, comparison_id="c.id", name=f"'topic-' || {HASH} % 10")
    for number, voter in enumerate(reversed(people)):
        # The author on all of them, the others on a part; most often for the first or the last of the models.
        multiply(
            rows[2],
            f"(SELECT *, random() AS dice FROM comparisons_comparison) c WHERE {of_tenant.partition('WHERE')[2]}"
            f" AND {HASH} % 5 >= {number}",
            comparison_id="c.id",
            voter_id=str(voter.pk),
            verdict="CASE WHEN dice < 0.75 THEN 'slot' WHEN dice < 0.92 THEN 'tie' ELSE 'all_bad' END",
            winner=f"CASE WHEN dice < 0.5 THEN 0 WHEN dice < 0.75 THEN {SLOTS} - 1 END",
            blind="dice * 100 - floor(dice * 100) < 0.5",
        )
    comparison.delete()


def use(tenant: "Tenant", user: "User", count: int) -> None:
    """So many requests, half a minute apart."""
    from proxy.models import Usage  # noqa: PLC0415

    usage = Usage.objects.create(
        request_id="req_0",
        created_at="2026-01-01T00:00Z",
        month="2026-01",
        tenant_id=tenant.pk,
        tenant_name=tenant.name,
        user_id=user.pk,
        username=user.username,
        chain="default",
        requested_model="default",
        prompt_tokens=40,
        completion_tokens=160,
        latency_ms=1200,
    )
    multiply(
        usage,
        f"generate_series(1, {count}) n",
        request_id="'req_' || md5('usage' || n)",
        created_at="now() - n * interval '30 s'",
        served_model="(%(models)s::text[])[1 + n % 12]",
        provider="split_part((%(models)s::text[])[1 + n % 12], '/', 1)",
        status="CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'ok' END",
    )
    usage.delete()


def multiply(row: "Model", source: str, **columns: str) -> None:
    """Copies of a row, one for each row of the source, with other values (SQL) in some columns."""
    table, pk = row._meta.db_table, row._meta.pk.column
    own = [field.column for field in row._meta.concrete_fields if field.column != pk or pk in columns]
    values = ", ".join(columns.get(column, f't."{column}"') for column in own)
    names = ", ".join(f'"{column}"' for column in own)
    from_, _, where = source.partition(" WHERE ")
    sql = f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, {from_} WHERE t.{pk} = %(pk)s"
    if where:
        sql += f" AND {where}"
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("% ", "%% "), {"pk": row.pk, "models": MODELS})


def session_of(user: "User") -> str:
    """A session that is signed in, as the browser's cookie would name it."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: PLC0415
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


if __name__ == "__main__":
    main()

"""The door to a real Redis: what a caller sees of connections that break, failed logins, and servers that are mute."""

import asyncio
import datetime
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from pytest_django import Settings
from redis.exceptions import AuthenticationError, BusyLoadingError, NoScriptError, RedisError, ResponseError

from accounts.ledger import keys
from accounts.redis import Redis, Script, sync_client
from accounts.redis.address import Address
from accounts.redis.command import Command
from accounts.redis.connection import Connection
from accounts.tests.scripted_redis import HangUp, Said, ScriptedRedis, each_key_holds_its_name


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRedis]:
    async with ScriptedRedis() as server:
        yield server


@pytest.fixture
async def door(server: ScriptedRedis, settings: Settings) -> AsyncIterator[Redis]:
    async with door_to(f"redis://127.0.0.1:{server.port}", settings) as door:
        yield door


@asynccontextmanager
async def door_to(url: str, settings: Settings) -> AsyncIterator[Redis]:
    settings.EMBEDDED, settings.REDIS_URL = False, url
    door = Redis()
    try:
        yield door
    finally:
        await door.close()


async def until_it_answers(door: Redis) -> None:
    while True:
        try:
            assert await door.execute("GET", "again") == b"again"
        except RedisError:
            await asyncio.sleep(0.01)
        else:
            return


async def together(door: Redis, *commands: tuple[str | int, ...]) -> list[object]:
    """What each was answered, be it an error."""
    replies: list[object] = await asyncio.gather(
        *(door.execute(*command) for command in commands), return_exceptions=True
    )
    return replies


def names(said: list[Said]) -> list[bytes]:
    return [command[0] for command in said]


async def test_commands_of_one_turn_travel_together(door: Redis, monkeypatch: pytest.MonkeyPatch):
    await door.execute("GET", "a")
    sent: list[int] = []
    send = Connection.send

    def counted(connection: Connection, commands: Sequence[Command]) -> None:
        sent.append(len(commands))
        send(connection, commands)

    monkeypatch.setattr(Connection, "send", counted)
    assert await asyncio.gather(*(door.execute("GET", name) for name in "bcd")) == [b"b", b"c", b"d"]
    assert await door.execute("GET", "e") == b"e"
    assert sent == [3, 1]


async def test_many_callers_get_each_their_own_on_one_connection(door: Redis, server: ScriptedRedis):
    async def ask(caller: int) -> bool:
        return all([await door.execute("GET", f"{caller}-{n}") == f"{caller}-{n}".encode() for n in range(20)])

    assert all(await asyncio.gather(*(ask(caller) for caller in range(100))))
    assert len(server.said) == 1


async def test_a_new_connection_logs_in_then_checks_the_epoch_and_only_then_asks(
    server: ScriptedRedis, settings: Settings
):
    url = f"redis://alice:s%20cret@127.0.0.1:{server.port}/7?client_name=gateway"
    async with door_to(url, settings) as door:
        await door.execute("GET", "a")
    greeting = server.said[0][3]
    assert server.said[0] == [
        (b"AUTH", b"alice", b"s cret"),
        (b"CLIENT", b"SETNAME", b"gateway"),
        (b"SELECT", b"7"),
        greeting,
        (b"GET", b"a"),
    ]
    assert greeting[0] == b"EVAL"
    assert b"run_id" in greeting[1]


async def test_a_password_alone_is_for_the_default_user(server: ScriptedRedis, settings: Settings):
    async with door_to(f"redis://:secret@127.0.0.1:{server.port}", settings) as door:
        await door.execute("GET", "a")
    assert server.said[0][0] == (b"AUTH", b"secret")


async def test_a_login_that_fails_is_told_and_nothing_is_asked(server: ScriptedRedis, settings: Settings):
    server.answer = lambda _: b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
    async with door_to(f"redis://:wrong@127.0.0.1:{server.port}", settings) as door:
        with pytest.raises(AuthenticationError):
            await door.execute("GET", "a")
        assert {name for said in server.said for name in names(said)} == {b"AUTH"}


async def test_a_redis_that_still_loads_is_asked_again_later(door: Redis, server: ScriptedRedis):
    server.answer = lambda _: b"-LOADING Redis is loading the dataset in memory\r\n"
    with pytest.raises(BusyLoadingError):
        await door.execute("GET", "a")
    server.answer = each_key_holds_its_name
    await until_it_answers(door)


async def test_a_cancelled_caller_leaves_no_reply_for_the_next(door: Redis, server: ScriptedRedis):
    await door.execute("GET", "first")
    server.held.clear()
    leaving, staying = (asyncio.ensure_future(door.execute("GET", name)) for name in ("leaving", "staying"))
    await server.holds.wait()
    leaving.cancel()
    server.held.set()
    assert await staying == b"staying"
    assert await door.execute("GET", "next") == b"next"


async def test_a_connection_that_was_closed_meanwhile_is_no_error(door: Redis, server: ScriptedRedis):
    for name in ("a", "b"):
        assert await door.execute("GET", name) == name.encode()
        server.break_connections()
    assert await together(door, ("GET", "c"), ("GET", "d")) == [b"c", b"d"]
    assert [names(said)[:2] for said in server.said] == [[b"EVAL", b"GET"]] * 3


async def test_what_a_closed_connection_did_not_answer_is_sent_once_more(door: Redis, server: ScriptedRedis):
    def once(command: Said) -> bytes | None:
        if command == (b"GET", b"b") and len(server.said) == 1:
            raise HangUp
        return each_key_holds_its_name(command)

    server.answer = once
    assert await asyncio.gather(*(door.execute("GET", name) for name in "abc")) == [b"a", b"b", b"c"]
    assert names(server.said[1]) == [b"EVAL", b"GET", b"GET"]


async def test_and_not_a_third_time(door: Redis, server: ScriptedRedis):
    def never(command: Said) -> bytes | None:
        if command[0] == b"GET":
            raise HangUp
        return b"+OK\r\n"

    server.answer = never
    with pytest.raises(redis.ConnectionError):
        await door.execute("GET", "a")
    assert len(server.asked(b"GET")) == 2
    server.answer = each_key_holds_its_name
    await until_it_answers(door)


async def test_a_mute_redis_is_not_asked_twice_and_left_alone_until_it_answers(
    server: ScriptedRedis, settings: Settings
):
    settings.GATEWAY_REDIS_TIMEOUT_S = 0.05
    async with door_to(f"redis://127.0.0.1:{server.port}", settings) as door:
        await door.execute("GET", "a")
        server.answer = lambda _: None
        with pytest.raises(redis.TimeoutError):
            await door.execute("GET", "b")
        for _ in range(100):
            asked = door.execute("GET", "c")
            assert asked.done(), "told at once"
            with pytest.raises(redis.ConnectionError):
                await asked
        assert server.asked(b"GET") == [(b"GET", b"a"), (b"GET", b"b")]
        server.answer = each_key_holds_its_name
        await until_it_answers(door)


async def test_a_redis_that_is_gone_is_told(door: Redis, server: ScriptedRedis):
    await door.execute("GET", "a")
    server.stop()
    with pytest.raises(redis.ConnectionError):
        await door.execute("GET", "b")


async def test_an_error_that_is_not_of_redis_leaves_nobody_waiting(door: Redis, monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Address, "connect", fail)
    with pytest.raises(redis.ConnectionError):
        await asyncio.wait_for(door.execute("GET", "a"), 5)
    monkeypatch.undo()


async def test_an_error_is_its_own_commands_alone(door: Redis, server: ScriptedRedis):
    errors = {b"EVALSHA": b"-NOSCRIPT No matching script.\r\n", b"INCR": b"-ERR value is not an integer\r\n"}
    server.answer = lambda command: errors.get(command[0]) or each_key_holds_its_name(command)
    commands: list[tuple[str | int, ...]] = [("GET", "a"), ("EVALSHA", "1", 0), ("INCR", "a"), ("GET", "b")]
    replies = await together(door, *commands)
    assert [type(reply) for reply in replies] == [bytes, NoScriptError, ResponseError, bytes]
    assert len(server.said) == 1


async def test_a_script_that_the_server_does_not_know_is_sent(door: Redis, server: ScriptedRedis):
    server.answer = lambda command: b"-NOSCRIPT none\r\n" if command[0] == b"EVALSHA" else b"+done\r\n"
    assert await door.run(keys.RELEASE, ["k"], ["a"]) == b"done"
    assert names(server.said[0]) == [b"EVAL", b"EVALSHA", b"EVAL"]


async def test_what_cannot_be_sent_harms_nobody_else(door: Redis):
    other = door.execute("GET", "a")
    with pytest.raises(TypeError):
        door.execute("SET", "b", None)
    assert await other == b"a"


async def test_closing_waits_for_what_is_outstanding(server: ScriptedRedis, settings: Settings):
    async with door_to(f"redis://127.0.0.1:{server.port}", settings) as door:
        await door.execute("GET", "a")
        outstanding = [door.execute("GET", name) for name in "bc"]
    assert [reply.result() for reply in outstanding] == [b"b", b"c"]


async def test_a_big_answer_and_thousands_of_commands_come_whole(door: Redis, server: ScriptedRedis):
    big = b"x" * 20_000_000
    server.answer = lambda command: (
        b"$%d\r\n%b\r\n" % (len(big), big) if command == (b"GET", b"big") else each_key_holds_its_name(command)
    )
    replies = await asyncio.gather(*(door.execute("GET", name) for name in ("big", *map(str, range(5000)))))
    assert replies[0] == big
    assert replies[1:] == [str(number).encode() for number in range(5000)]


async def test_it_may_be_behind_a_socket_file(tmp_path: Path, settings: Settings):
    file = tmp_path / "redis.sock"
    async with ScriptedRedis(file=file) as server, door_to(f"unix://{file}?db=3", settings) as door:
        assert await door.execute("GET", "a") == b"a"
    assert server.said[0][0] == (b"SELECT", b"3")


async def test_it_may_be_behind_tls_with_a_certificate_that_is_trusted(tmp_path: Path, settings: Settings):
    certificate, context = certificate_for_localhost(tmp_path)
    async with ScriptedRedis(tls=context) as server:
        url = f"rediss://localhost:{server.port}"
        async with door_to(f"{url}?ssl_ca_certs={certificate}", settings) as door:
            assert await door.execute("GET", "a") == b"a"
        async with door_to(url, settings) as door:
            with pytest.raises(redis.ConnectionError, match="certificate"):
                await door.execute("GET", "b")


def certificate_for_localhost(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody signed but itself, and the context of the server that shows it."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "certificate.pem"
    file.write_bytes(builder.sign(secret, hashes.SHA256()).public_bytes(encoding))
    both = folder / "both.pem"
    both.write_bytes(file.read_bytes() + secret.private_bytes(encoding, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return file, context


@pytest.fixture
async def real_door() -> AsyncIterator[Redis]:
    door = Redis()
    yield door
    await door.close()


@pytest.mark.services
async def test_a_connection_that_the_real_one_killed_is_no_error(real_door: Redis):
    await real_door.execute("SET", "a", "1")
    for _ in range(3):
        sync_client().client_kill_filter(_id=str(await real_door.execute("CLIENT", "ID")))
        assert await together(real_door, ("GET", "a"), ("TYPE", "a")) == [b"1", b"string"]


@pytest.mark.services
async def test_a_script_is_loaded_into_the_real_one_once(real_door: Redis, tmp_path: Path):
    source = tmp_path / "new.lua"
    source.write_text(f"return '{uuid.uuid4()}'")
    script = Script(source)
    with pytest.raises(NoScriptError):
        await real_door.execute("EVALSHA", script.sha, 0)
    assert (await real_door.run(script, [])).decode() in script.source
    assert (await real_door.execute("EVALSHA", script.sha, 0)).decode() in script.source


@pytest.mark.services
async def test_an_event_loop_that_was_held_up_does_not_take_the_real_one_for_mute(real_door: Redis):
    await real_door.execute("SET", "a", "1")
    reply = real_door.execute("GET", "a")
    await asyncio.sleep(0)
    time.sleep(2 * settings.GATEWAY_REDIS_TIMEOUT_S)  # noqa: ASYNC251 - that is what is tested
    assert await reply == b"1"

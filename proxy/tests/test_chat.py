"""POST /v1/chat/completions: a plain answer."""

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.fake_provider import FakeProvider, text

MESSAGES = [{"role": "user", "content": "Hi"}]


def test_the_sdk_gets_an_answer(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    provider.on("one", text("Hello, alice"))
    got = gateway.sdk(cast.alice).chat.completions.create(model="fake/one", messages=MESSAGES)
    assert got.choices[0].message.content == "Hello, alice"
    assert got.model == "fake-2024"
    assert got.usage
    assert got.usage.total_tokens == 10

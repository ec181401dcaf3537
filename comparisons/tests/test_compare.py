"""`POST /compare_models`, answered whole."""

from collections.abc import Callable

import httpx

from conftest import Catalogue
from proxy.tests.fake_provider import FakeProvider, chunks, stream

Compare = Callable[..., httpx.Response]


def test_every_slot_answers_in_the_order_asked(compare: Compare, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    catalogue.model("fake/two")
    provider.on("one", stream(chunks("Par", "is", usage=(7, 2))))
    provider.on("two", stream(chunks("Lyon?", usage=(7, 1))))
    response = compare("fake/one", {"model": "fake/two", "label": "b t=0", "params": {"temperature": 0}})
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["object"], body["status"]) == ("comparison", "complete")
    assert body["id"].startswith("cmp_")
    assert body["url"].endswith(f"/comparisons/{body['id']}")
    first, second = body["answers"]
    assert (first["slot"], first["label"], first["requested_model"]) == (0, "A", "fake/one")
    assert (first["resolved_model"], first["provider"], first["status"]) == ("fake/one", "fake", "ok")
    assert (first["content"], first["error"]) == ("Paris", None)
    assert first["response"]["object"] == "chat.completion"
    assert first["response"]["choices"][0]["message"] == {"role": "assistant", "content": "Paris"}
    assert first["response"]["choices"][0]["finish_reason"] == "stop"
    assert first["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert (second["label"], second["content"]) == ("b t=0", "Lyon?")
    assert provider.bodies("two")[0]["temperature"] == 0
    assert "temperature" not in provider.bodies("one")[0]
    assert (body["summary"]["ok"], body["summary"]["failed"]) == (2, 0)

"""Ready-to-paste calls of this gateway, for the pages of keys and chains."""

import json
import shlex
from dataclasses import dataclass

from django.http import HttpRequest

KEY_PLACEHOLDER = "YOUR_API_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    code: str


def snippets(request: HttpRequest, model: str, key: str = KEY_PLACEHOLDER) -> list[Snippet]:
    """The same call with curl and with the openai library, to the address under which the admin was opened."""
    base_url = request.build_absolute_uri("/v1")
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
    return [Snippet("curl", _curl(base_url, key, body)), Snippet("Python (openai)", _python(base_url, key, model))]


def _curl(base_url: str, key: str, body: str) -> str:
    return (
        f"curl {base_url}/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {key}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def _python(base_url: str, key: str, model: str) -> str:
    return (
        "from openai import OpenAI\n\n"
        f"client = OpenAI(base_url={json.dumps(base_url)}, api_key={json.dumps(key)})\n"
        "answer = client.chat.completions.create(\n"
        f"    model={json.dumps(model)},\n"
        '    messages=[{"role": "user", "content": "Hello!"}],\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )

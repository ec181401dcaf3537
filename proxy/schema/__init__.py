"""The routes as the OpenAPI document describes them: one decorator for each operation, for `extend_schema_view`.

    chat.py, embeddings.py, models.py, usage.py, health.py   the operations
    requests.py, completions.py, streams.py                  the bodies of chats
    errors.py, headers.py     what every call may be refused with, and what comes with each answer
    document.py               what the document says as a whole: tags, credentials, aliases

The serializers only describe: requests are checked by `proxy.chat`, and answers are the providers' own.
"""

from proxy.schema.chat import create_chat_completion, create_fallback_completion
from proxy.schema.embeddings import create_embedding
from proxy.schema.health import get_health, get_landing, get_readiness
from proxy.schema.models import list_models, retrieve_model
from proxy.schema.usage import retrieve_usage

__all__ = [
    "create_chat_completion",
    "create_embedding",
    "create_fallback_completion",
    "get_health",
    "get_landing",
    "get_readiness",
    "list_models",
    "retrieve_model",
    "retrieve_usage",
]

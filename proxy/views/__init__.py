"""The OpenAI-compatible routes."""

from proxy.views.chat import ChatCompletions, FallbackCompletion
from proxy.views.embeddings import Embeddings
from proxy.views.health import Health, Landing, Ready
from proxy.views.models import ModelDetail, ModelList
from proxy.views.usage import CurrentUsage

__all__ = [
    "ChatCompletions",
    "CurrentUsage",
    "Embeddings",
    "FallbackCompletion",
    "Health",
    "Landing",
    "ModelDetail",
    "ModelList",
    "Ready",
]

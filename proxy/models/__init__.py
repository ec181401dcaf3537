"""What can be called (provider, model, chain) and what was called (usage)."""

from proxy.models.body import StoredBody
from proxy.models.chain import ChainLink, ModelChain
from proxy.models.model import Model
from proxy.models.provider import Provider
from proxy.models.usage import DeadLetter, StreamPosition, Usage

__all__ = ["ChainLink", "DeadLetter", "Model", "ModelChain", "Provider", "StoredBody", "StreamPosition", "Usage"]

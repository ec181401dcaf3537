"""`POST /v1/embeddings`, through a chain like a chat."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from proxy.call import Call
from proxy.catalogue import Catalogue
from proxy.embedding import EmbeddingRequest
from proxy.gateway import running
from proxy.http.view import AsyncAPIView
from proxy.idempotency import once
from proxy.metering import measure
from proxy.options import Options
from proxy.schema import create_embedding


@extend_schema_view(post=create_embedding)
class Embeddings(AsyncAPIView):
    """Embed texts with a model, or with the first model of a chain that can."""

    async def post(self, request: Request) -> HttpResponseBase:
        embedding = EmbeddingRequest.parse(request.data)
        options = Options.parse(request.headers)
        gateway = running()

        async def decide(catalogue: Catalogue) -> Call:
            caller = await gateway.credentials.authenticate(request.headers, self.client_ip)
            caller.require_plain_calls()
            route = catalogue.route((embedding.name,), caller)
            return Call(
                request_id=self.request_id,
                caller=caller,
                route=route,
                requested_model=embedding.name,
                endpoint="embeddings",
                body=embedding.body,
                streamed=False,
                tags=options.tags,
                prompt_bytes=len(request.body),
                deadline_s=options.deadline_s(route.deadline_s),
            )

        async def answer(call: Call) -> HttpResponse:
            with gateway.finish_on_error(call):
                vectors = await gateway.relay.embed(call)
                await measure(call)
            gateway.finish(call)
            return HttpResponse(vectors.raw, content_type="application/json", headers=call.headers())

        return await once(gateway, request, decide, answer)

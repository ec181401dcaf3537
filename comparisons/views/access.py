"""Who may compare, and see what was compared."""

from django.http import HttpRequest

from accounts.callers import Caller
from accounts.credentials import NO_CREDENTIAL
from accounts.errors import InvalidCredential
from accounts.sessions import caller_of_session, has_session
from proxy.gateway import Gateway, running
from proxy.http.view import AsyncAPIView


class ComparisonView(AsyncAPIView):
    """For members of a tenant: with a key, a JWT, or signed in on our pages."""

    async def authenticate(self, gateway: Gateway) -> Caller:
        """Raises InvalidCredential, also without any credential, and NotPermitted for keys that may not compare."""
        request: HttpRequest = self.request._request
        if has_session(request):
            caller = await caller_of_session(request)
        else:
            caller = await gateway.credentials.authenticate(self.request.headers, self.client_ip)
        if caller is None or caller.is_anonymous:
            raise InvalidCredential(NO_CREDENTIAL)
        caller.require_comparing()
        return caller

    async def member(self) -> Caller:
        """The caller of a request that is not admitted, on the newest committed configuration."""
        gateway = running()
        await gateway.newest_catalogue()
        return await self.authenticate(gateway)

    def url_of(self, comparison_id: str) -> str:
        """The page of a comparison."""
        return self.request.build_absolute_uri(f"/comparisons/{comparison_id}")

    @property
    def is_page(self) -> bool:
        return has_session(self.request._request)

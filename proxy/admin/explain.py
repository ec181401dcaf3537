"""What became of one request, in words: who called, what was asked and checked, what was tried, what it cost."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.admin.links import page_url
from accounts.models import APIKey, Tenant, User
from proxy.admin.money import dollars
from proxy.models import StoredBody, Usage

Line = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lines: list[Line]
    note: str = ""


class Explanation:
    """One usage row beside what it names, as far as that still exists and this person may see it."""

    def __init__(self, usage: Usage, request: HttpRequest, site: Any) -> None:
        self.usage = usage
        self.tenant = _row(site, request, Tenant, usage.tenant_id)
        self.user = _row(site, request, User, usage.user_id)
        self.key = _row(site, request, APIKey, usage.key_id)

    @property
    def sections(self) -> list[Section]:
        return [self._caller(), self._question(), self._checks(), self._answer(), self._bill()]

    @property
    def body(self) -> StoredBody | None:
        """Whoever may see the row may read it: operators, and administrators of its tenant."""
        return StoredBody.objects.for_request(self.usage.request_id, self.usage.tenant_id)

    @property
    def is_chat(self) -> bool:
        return self.usage.endpoint == "chat"

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return [attempt for attempt in self.usage.attempts if isinstance(attempt, dict)]

    def _caller(self) -> Section:
        usage = self.usage
        credential = _link(self.key, f"{usage.key_name} ({self.key.masked})") if self.key else usage.key_name
        lines = [
            (_("Tenant"), _link(self.tenant, usage.tenant_name)),
            (_("User"), _link(self.user, usage.username)),
            (_("Credential"), credential or (_("a sign-in, no API key") if usage.user_id else _("none"))),
        ]
        return Section(_("Who called"), lines)

    def _question(self) -> Section:
        usage = self.usage
        lines = [
            (_("Asked for"), usage.requested_model),
            (_("Resolved to"), usage.chain or "-"),
            (_("Endpoint"), usage.endpoint),
            (_("Streamed"), _("yes") if usage.streamed else _("no")),
            (_("Tags"), ", ".join(str(tag) for tag in usage.tags) or "-"),
        ]
        return Section(_("What was asked"), lines)

    def _checks(self) -> Section:
        lines = [
            (_("Credential"), _key_today(self.key) if self.key else _("was valid")),
            (_("May use it"), _allowed(self.key)),
            (_("Requests per minute"), self._limits("requests_per_minute")),
            (_("Tokens per month"), self._limits("monthly_token_budget")),
            (_("Month"), self.usage.month),
        ]
        note = _(
            "All of these let the request pass; refused ones are not recorded. Limits are shown as they are today."
        )
        return Section(_("What was checked"), lines, note)

    def _limits(self, field: str) -> str:
        rows = ((_("tenant"), self.tenant), (_("user"), self.user), (_("key"), self.key))
        limits = [f"{scope} {value:,}" for scope, row in rows if row and (value := getattr(row, field))]
        return ", ".join(limits) or _("no limit of its own")

    def _answer(self) -> Section:
        usage = self.usage
        first_token = f"{usage.first_token_ms:,} ms" if usage.first_token_ms is not None else "-"
        lines = [
            (_("Ended"), usage.get_status_display()),
            (_("Answered by"), f"{usage.served_model} ({usage.provider})" if usage.served_model else _("nobody")),
            (_("Error"), usage.error_code or "-"),
            (_("Time to first token"), first_token),
            (_("Latency"), f"{usage.latency_ms:,} ms"),
        ]
        return Section(_("What came of it"), lines)

    def _bill(self) -> Section:
        usage = self.usage
        lines = [
            (_("Prompt tokens"), _with_part(usage.prompt_tokens, usage.cached_tokens, _("cached"))),
            (_("Completion tokens"), _with_part(usage.completion_tokens, usage.reasoning_tokens, _("reasoning"))),
            (_("Counts"), usage.get_quality_display()),
            (_("Price used"), _price(usage.input_price_per_mtok, usage.output_price_per_mtok)),
            (_("Cost"), dollars(usage.cost_microusd)),
        ]
        return Section(_("Tokens and cost"), lines)


def _row(site: Any, request: HttpRequest, model: type[Any], pk: Any) -> Any:
    """The row that the usage names, through the admin's own eyes."""
    return site.get_model_admin(model).get_queryset(request).filter(pk=pk).first() if pk else None


def _link(row: Any, name: str) -> Any:
    return format_html('<a class="text-link" href="{}">{}</a>', page_url(row), name) if row else name or "-"


def _key_today(key: Any) -> str:
    match key.state:
        case "revoked":
            return _("was valid; revoked since %s UTC") % f"{key.revoked_at:%Y-%m-%d %H:%M}"
        case "expired":
            return _("was valid; expired since %s UTC") % f"{key.expires_at:%Y-%m-%d %H:%M}"
        case "blocked":
            return _("was valid; its user or tenant is switched off now")
        case _:
            return _("valid")


def _allowed(key: Any) -> str:
    if key and key.allowed_models:
        return _("the key is limited to %s") % ", ".join(key.allowed_models)
    return _("everything that the tenant may use")


def _with_part(whole: int, part: int, name: str) -> str:
    return f"{whole:,} ({part:,} {name})" if part else f"{whole:,}"


def _price(prompt: Decimal | None, completion: Decimal | None) -> str:
    if prompt is None and completion is None:
        return _("unknown: counted as 0")
    prices = (f"${(price or Decimal(0)).normalize():f}" for price in (prompt, completion))
    return _("%s in, %s out, per million tokens") % tuple(prices)

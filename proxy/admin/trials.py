"""Asking a chain or a model for real, from a page: “try it” and “test connection”."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from accounts.admin.base import ModelAdmin, Text, page_context
from accounts.admin.links import page_url
from accounts.errors import GatewayError
from proxy.admin.money import dollars
from proxy.trial import Trial, trial

# Enough for a short answer even of a model that thinks first, and a bound on what a click may cost.
MAX_TOKENS = 1024


class TrialForm(forms.Form):
    """What to ask, and which of several models; a chain is asked as it is."""

    model = forms.ChoiceField(label=_("Model"), widget=UnfoldAdminSelectWidget)
    prompt = forms.CharField(
        label=_("Prompt"),
        initial=_("Say hello in five words."),
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("This is a real call: it uses tokens, and providers bill it."),
    )

    def __init__(self, *args: Any, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = names
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
        field.choices = [(name, name) for name in names]
        if len(names) == 1:
            field.widget, field.initial = forms.HiddenInput(), names[0]


def trial_page(
    model_admin: ModelAdmin, request: HttpRequest, row: models.Model, form: TrialForm, title: Text
) -> HttpResponse:
    """The form, and below it what came of the call once it is sent."""
    context = {**page_context(model_admin, request, title), "original": row, "form": form, "back": page_url(row)}
    if request.method == "POST" and form.is_valid():
        try:
            answer = _ask(request, form)
            context |= {"trial": answer, "cost": dollars(answer.cost_microusd), "playground": _playground(form)}
        except GatewayError as error:
            context["refusal"] = error.message
        except TimeoutError:
            context["refusal"] = _("No answer within five minutes. Look at the chain's timeouts, then try again.")
    return TemplateResponse(request, "admin/proxy/trial.html", context)


def _playground(form: TrialForm) -> str:
    """The address where members of a tenant compare this answer with others."""
    return f"/playground/?{urlencode({'models': form.cleaned_data['model'], 'prompt': form.cleaned_data['prompt']})}"


def _ask(request: HttpRequest, form: TrialForm) -> Trial:
    return trial(
        form.cleaned_data["model"],
        [{"role": "user", "content": form.cleaned_data["prompt"]}],
        tenant_id=None,
        username=request.user.get_username(),
        max_tokens=MAX_TOKENS,
    )

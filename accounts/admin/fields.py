"""Form fields of API keys: lists that a person can write without knowing JSON."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2MultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from accounts.admin.offers import Groups, names_in
from accounts.models.api_key import validate_networks


class NamesWidget(UnfoldAdminSelect2MultipleWidget):  # type: ignore[misc]  # Unfold has no types
    """Unfold's, without the class by which Django's autocomplete would take it for a field of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attrs["class"] = "unfold-admin-autocomplete"


class NamesField(forms.MultipleChoiceField):
    """Names of chains and models, chosen from what is offered; a list. Set `offer` before the form is shown."""

    widget = NamesWidget

    def offer(self, groups: Groups, chosen: list[str]) -> None:
        """Names that were chosen before but are offered no longer stay: saving a form must not change what it shows."""
        gone = [name for name in chosen if name not in names_in(groups)]
        groups = [*groups, ("No longer offered", gone)]
        self.choices = [(title, [(name, name) for name in names]) for title, names in groups if names]


class NetworksField(forms.CharField):
    """Networks, one in a line; a list."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "10.0.0.0/8"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return re.split(r"[\s,;]+", value.strip()) if value and value.strip() else []

    def validate(self, value: Any) -> None:
        super().validate(value)
        validate_networks(value)


class OverlapForm(forms.Form):
    """How long the old key goes on working beside its successor."""

    CHOICES = (
        ("0", _("Not at all: it stops working now")),
        ("1", _("1 hour")),
        ("24", _("1 day")),
        ("168", _("7 days")),
        ("720", _("30 days")),
    )
    hours = forms.TypedChoiceField(
        label=_("The old key goes on working for"),
        choices=CHOICES,
        coerce=int,
        initial="24",
        widget=UnfoldAdminSelectWidget,
        help_text=_("Long enough to put the new key everywhere where the old one is used."),
    )

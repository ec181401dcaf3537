"""Unfold's classes, which carry no types, seen by the type checker as the classes of Django that they extend."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from django import forms
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from unfold.decorators import action

if TYPE_CHECKING:
    from django.contrib import admin
    from django.contrib.admin.options import BaseModelAdmin as DjangoBaseModelAdmin
    from django.contrib.admin.views.main import ChangeList
    from django.contrib.auth.forms import (
        AdminPasswordChangeForm,
        AdminUserCreationForm as UserCreationForm,
        UserChangeForm,
    )

    # Django's classes take a type argument in their stubs only.
    BaseModelAdmin = DjangoBaseModelAdmin[Any]
    ModelAdmin = admin.ModelAdmin[Any]
    ModelForm = forms.ModelForm[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    from django.forms import ModelForm
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.views import ChangeList

    BaseModelAdmin = object  # a mixin's place among the bases is before Unfold's own class

__all__ = [
    "AdminPasswordChangeForm",
    "BaseModelAdmin",
    "ChangeList",
    "Fieldset",
    "ModelAdmin",
    "ModelForm",
    "TabularInline",
    "Text",
    "UserChangeForm",
    "UserCreationForm",
    "badge",
    "page_action",
    "page_context",
]

# A text, possibly translated when it is shown.
Text: TypeAlias = str | Promise
# A title and what it stands over.
Fieldset: TypeAlias = tuple[Any, Any]
Page = TypeVar("Page", bound=Callable[..., HttpResponseBase])


def page_action(description: Text, *, icon: str, path: str, permission: str = "change") -> Callable[[Page], Page]:
    """A button on an object's page, or in its row of the list, that opens a page of its own: `<object>/<path>/`.

    The button is a link, so the method only shows what it would do; it does it when that page's form is sent.
    """

    def decorate(page: Page) -> Page:
        decorated: Page = action(description=description, icon=icon, url_path=path, permissions=[permission])(page)
        return decorated

    return decorate


def badge(text: object, variant: str = "default") -> SafeString:
    """A small coloured label; variants: success, info, warning, danger, default."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "variant": variant})


def page_context(model_admin: ModelAdmin, request: HttpRequest, title: Text) -> dict[str, Any]:
    """What a page of our own inside the admin needs to look like one of its pages."""
    request.current_app = model_admin.admin_site.name
    return {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "model_admin": model_admin,
        "title": title,
    }

"""All routes. Each app lists its own."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.page_policy import DOCS, page_policy

docs = SpectacularSwaggerSplitView.as_view(
    url_name="schema",
    template_name="proxy/docs.html",
    template_name_js="proxy/docs.js",
    http_method_names=["get", "head"],
)

urlpatterns = [
    path("", include("comparisons.urls")),
    path("", include("proxy.urls")),
    path("", include("comparisons.pages.urls")),
    path("auth/", include("accounts.urls")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", page_policy(DOCS)(docs), name="docs"),
]

handler400 = "accounts.views.errors.bad_request"
handler404 = "accounts.views.errors.not_found"
handler500 = "accounts.views.errors.server_error"

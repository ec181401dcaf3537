"""What the tenant has compared."""

from django.http import HttpResponse
from django.shortcuts import render

from comparisons.models import Comparison
from comparisons.pages.members import MemberRequest, member_page

PAGE = 50


@member_page
def history(request: MemberRequest) -> HttpResponse:
    found = Comparison.objects.of_tenant(request.user.tenant_id).prefetch_related("answers", "tags")[:PAGE]
    return render(request, "comparisons/history.html", {"comparisons": found})

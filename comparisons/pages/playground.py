"""A prompt, several models, all answers side by side."""

from django.http import HttpResponse
from django.shortcuts import render

from comparisons.pages.members import MemberRequest, member_page


@member_page
def playground(request: MemberRequest) -> HttpResponse:
    return render(request, "comparisons/playground.html")

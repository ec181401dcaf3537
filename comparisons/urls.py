"""The API of comparisons. Routes of async views run on the lean handler (gateway_project/asgi.py).

Chats come here first (gateway_project/urls.py): the proxy knows nothing of comparisons.
"""

from django.urls import path

from comparisons import views

urlpatterns = [
    path("v1/chat/completions", views.ComparingChatCompletions.as_view()),
    path("chat/completions", views.ComparingChatCompletions.as_view()),
    path("compare_models", views.CompareModels.as_view(), name="compare-models"),
    path("v1/comparisons", views.ComparisonList.as_view(), name="comparisons"),
    path("v1/comparisons/export", views.ComparisonListExport.as_view(), name="comparisons-export"),
    path("v1/comparisons/<comparison_id>", views.ComparisonDetail.as_view(), name="comparison"),
    path("v1/comparisons/<comparison_id>/export", views.ComparisonExport.as_view(), name="comparison-export"),
    path("v1/comparisons/<comparison_id>/votes", views.Votes.as_view(), name="comparison-votes"),
    path("v1/comparisons/<comparison_id>/notes", views.Notes.as_view(), name="comparison-notes"),
    path("v1/comparisons/<comparison_id>/rerun", views.Rerun.as_view(), name="comparison-rerun"),
]

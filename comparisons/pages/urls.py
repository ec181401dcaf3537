"""The addresses of the pages."""

from django.urls import path
from django.views.generic import RedirectView

from comparisons.pages import detail, feedback, history, leaderboard, playground, review, sign_in

urlpatterns = [
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("playground/", playground.playground, name="playground"),
    path("playground/rendered", playground.rendered, name="playground-rendered"),
    path("playground/difference", playground.difference, name="playground-difference"),
    path("comparisons/", history.history, name="history"),
    path("comparisons/leaderboard/", leaderboard.leaderboard, name="leaderboard"),
    path("comparisons/review/", review.queue, name="review"),
    path("comparisons/review/<str:comparison_id>/", review.review, name="review"),
    path("comparisons/leaderboard", RedirectView.as_view(pattern_name="leaderboard", query_string=True)),
    path("comparisons/review", RedirectView.as_view(pattern_name="review", query_string=True)),
    path("comparisons/<str:comparison_id>", detail.detail, name="comparison-page"),
    path("comparisons/<str:comparison_id>/review", feedback.review, name="comparison-review"),
    path("comparisons/<str:comparison_id>/vote", feedback.vote, name="comparison-vote"),
    path("comparisons/<str:comparison_id>/notes", feedback.notes, name="comparison-page-notes"),
    path("comparisons/<str:comparison_id>/tags", feedback.tags, name="comparison-tags"),
    path("comparisons/<str:comparison_id>/title", feedback.title, name="comparison-title"),
]

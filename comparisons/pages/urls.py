"""The addresses of the pages."""

from django.urls import path

from comparisons.pages import history, playground, sign_in

urlpatterns = [
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("playground/", playground.playground, name="playground"),
    path("comparisons/", history.history, name="history"),
]

"""Routes below /auth/."""

from django.urls import path

from accounts.views.tokens import Logout, Token, TokenRefresh, TokenVerify

urlpatterns = [
    path("token", Token.as_view(), name="token"),
    path("token/refresh", TokenRefresh.as_view(), name="token-refresh"),
    path("token/verify", TokenVerify.as_view(), name="token-verify"),
    path("logout", Logout.as_view(), name="logout"),
]

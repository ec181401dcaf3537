"""The gateway's API. Routes of async views run on the lean handler (gateway_project/asgi.py)."""

from django.urls import path

from proxy import views

urlpatterns = [
    path("", views.Landing.as_view(), name="landing"),
    path("health", views.Health.as_view(), name="health"),
    path("health/ready", views.Ready.as_view(), name="ready"),
    path("v1/chat/completions", views.ChatCompletions.as_view(), name="chat-completions"),
    path("chat/completions", views.ChatCompletions.as_view()),
    path("chat/fallback_completion", views.FallbackCompletion.as_view(), name="fallback-completion"),
    path("v1/chat/fallback_completion", views.FallbackCompletion.as_view()),
    path("v1/embeddings", views.Embeddings.as_view(), name="embeddings"),
    path("v1/usage", views.CurrentUsage.as_view(), name="usage"),
    path("v1/models", views.ModelList.as_view(), name="models"),
    path("models", views.ModelList.as_view()),
    path("v1/models/<path:name>", views.ModelDetail.as_view(), name="model"),
    path("models/<path:name>", views.ModelDetail.as_view()),
]

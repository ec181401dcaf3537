"""All settings, read from the environment. `.env.example` lists every variable with its meaning."""

import hashlib
import hmac
import secrets
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from gateway_project import env
from gateway_project.sidebar import NAVIGATION

BASE_DIR = Path(__file__).resolve().parent.parent

# Where things live ------------------------------------------------------------------------------------------------

DATABASE_URL = env.url("DATABASE_URL", schemes=["postgres", "postgresql"])
REDIS_URL = env.url("REDIS_URL", schemes=["redis", "rediss", "unix"])
# With neither, one process does everything: SQLite, an in-process Redis, and the worker's tasks in the background.
EMBEDDED = not DATABASE_URL and not REDIS_URL
if bool(DATABASE_URL) != bool(REDIS_URL):
    raise ImproperlyConfigured(
        "Set both DATABASE_URL and REDIS_URL, or neither. With neither, the gateway runs on its embedded default: "
        "good for trying it out, not for production."
    )

GATEWAY_DATA_DIR = Path(env.text("GATEWAY_DATA_DIR", str(BASE_DIR / "var")))
if EMBEDDED:
    try:
        GATEWAY_DATA_DIR.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"GATEWAY_DATA_DIR: {GATEWAY_DATA_DIR} is no folder to write into.") from error
DEBUG = env.switch("DEBUG")
GATEWAY_ALLOW_EMBEDDED = env.switch("GATEWAY_ALLOW_EMBEDDED")

# Secrets ----------------------------------------------------------------------------------------------------------


def _embedded_secret_key() -> str:
    """The embedded default keeps a random key beside its database, so that nothing has to be set up to try it out."""
    path = GATEWAY_DATA_DIR / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


SECRET_KEY = env.text("SECRET_KEY") or (_embedded_secret_key() if EMBEDDED else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "Set SECRET_KEY to a long random value, for example the output of "
        "`python -c 'import secrets; print(secrets.token_urlsafe(48))'`, and keep it: API keys and provider keys "
        "depend on it."
    )


def _derived_key(purpose: str) -> bytes:
    """32 bytes for one purpose, from GATEWAY_ENCRYPTION_KEY or else SECRET_KEY (HMAC-SHA256 as a one-step KDF)."""
    root = env.text("GATEWAY_ENCRYPTION_KEY") or SECRET_KEY
    return hmac.digest(root.encode(), purpose.encode(), hashlib.sha256)


GATEWAY_API_KEY_PEPPER = _derived_key("api-key-pepper")
GATEWAY_FIELD_KEY = _derived_key("field-encryption")

# Applications -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "gateway_project.apps.GatewayAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "accounts",
    "proxy",
    "comparisons",
]

# The pages and the admin run behind these; the API's hot routes run without any (gateway_project/asgi.py).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "gateway_project.urls"
ASGI_APPLICATION = "gateway_project.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database ---------------------------------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]]
if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": GATEWAY_DATA_DIR / "gateway.sqlite3",
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 10,
            },
            # A file also for the tests: an in-memory database cannot be shared by a server's threads.
            "TEST": {"NAME": GATEWAY_DATA_DIR / "test.sqlite3"},
        }
    }
else:
    DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"].get("OPTIONS", {}),
        # A hung Postgres must count as a dead one: connecting, and bytes that nobody acknowledges, give up in 2 s.
        "connect_timeout": 2,
        "tcp_user_timeout": 2000,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "pool": {"min_size": 1, "max_size": env.number("GATEWAY_DATABASE_POOL", 10), "timeout": 2},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis, cache, Celery ---------------------------------------------------------------------------------------------

if EMBEDDED:
    # django-ratelimit needs a cache that processes share; Django's LocMem is none, its database cache is.
    CACHES: dict[str, dict[str, Any]] = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "django_cache"}
    }
    # E003 says that the database cache's increments are not atomic: true, and good enough for trying out.
    SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]
else:
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "{gw}:cache",
            "OPTIONS": {
                "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
                "SOCKET_CONNECT_TIMEOUT": 0.25,
                "SOCKET_TIMEOUT": 0.25,
            },
        }
    }

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_TRANSPORT = None if EMBEDDED else "gateway_project.broker:Transport"
# Redis may be away for hours: worker and beat wait for it, and whoever sends a task is told within seconds.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "{gw}:celery:",
    "visibility_timeout": 300,  # longer than any task may run
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = EMBEDDED
# Tasks may run twice, so one that its worker did not finish is done again.
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# The schedule (gateway_project/schedule.py) is short and known: nothing of it needs a file.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"

# Mail: warnings of budgets. Without EMAIL_URL there is none --------------------------------------------------------

EMAIL_URL = env.url("EMAIL_URL", schemes=["smtp", "smtps", "smtp+tls", "smtp+ssl", "consolemail"])
GATEWAY_SENDS_MAIL = bool(EMAIL_URL)
globals().update(environ.Env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "llm-gateway@localhost")

# Accounts and authentication --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"  # for members; the admin has its own
LOGIN_REDIRECT_URL = "history"

SIMPLE_JWT = {
    "ALGORITHM": env.text("JWT_ALGORITHM", "HS256"),
    "SIGNING_KEY": env.text("JWT_SECRET") or _derived_key("jwt").hex(),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.number("GATEWAY_JWT_ACCESS_MINUTES", 15)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.number("GATEWAY_JWT_REFRESH_DAYS", 7)),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "CHECK_REVOKE_TOKEN": True,
    "UPDATE_LAST_LOGIN": False,
}

REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "accounts.errors.render_error",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.parsers.StrictJSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}

# HTTP -------------------------------------------------------------------------------------------------------------

ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = env.names("CORS_ALLOWED_ORIGINS")
GATEWAY_TRUSTED_PROXIES = env.names("GATEWAY_TRUSTED_PROXIES")
GATEWAY_MAX_BODY_BYTES = env.number("GATEWAY_MAX_BODY_MB", 32) * 1024 * 1024
GATEWAY_BODY_TIMEOUT_S = env.number("GATEWAY_BODY_TIMEOUT_S", 30)
GATEWAY_KEEP_ALIVE_S = env.number("GATEWAY_KEEP_ALIVE_S", 10)
GATEWAY_HTTPS = env.switch("GATEWAY_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = GATEWAY_HTTPS
if GATEWAY_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "accounts.views.errors.csrf_failed"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Without `collectstatic` (development, trying out) the finders serve; the missing folder is no news to anybody.
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
# WhiteNoise reads its files synchronously; they are small.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators", category=Warning)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# The gateway ------------------------------------------------------------------------------------------------------

GATEWAY_REQUESTS_PER_MINUTE = env.number("GATEWAY_REQUESTS_PER_MINUTE", 60)
GATEWAY_GLOBAL_REQUESTS_PER_MINUTE = env.number("GATEWAY_GLOBAL_REQUESTS_PER_MINUTE", 0)
GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE = env.number("GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE", 10)
GATEWAY_ANONYMOUS_MONTHLY_TOKENS = env.number("GATEWAY_ANONYMOUS_MONTHLY_TOKENS", 20_000)
# A quota of nothing is another way to say off: here 0 must never mean “no limit”.
GATEWAY_ANONYMOUS = env.switch("GATEWAY_ANONYMOUS", default=True) and bool(
    GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE and GATEWAY_ANONYMOUS_MONTHLY_TOKENS
)
GATEWAY_LEDGER_DOWN = env.text("GATEWAY_LEDGER_DOWN", "closed")
if GATEWAY_LEDGER_DOWN not in {"open", "closed"}:
    raise ImproperlyConfigured(f"GATEWAY_LEDGER_DOWN must be open or closed, not {GATEWAY_LEDGER_DOWN!r}.")
GATEWAY_KNOWN_KEYS_S = env.number("GATEWAY_KNOWN_KEYS_S", 60)
GATEWAY_WORKERS = env.number("GATEWAY_WORKERS", 1)
GATEWAY_REDIS_TIMEOUT_S = env.number("GATEWAY_REDIS_TIMEOUT_MS", 250) / 1000
POSTHOG_API_KEY = env.text("POSTHOG_API_KEY")
POSTHOG_HOST = env.text("POSTHOG_HOST", "https://us.i.posthog.com")

SPECTACULAR_SETTINGS = {
    "TITLE": "LLM Gateway Proxy",
    "DESCRIPTION": "An OpenAI-compatible gateway in front of many LLM providers, with automatic fallback. Point any "
    "OpenAI client at `/v1`. To try a route on this page, press *Authorize*, paste an API key, open the route and "
    "press *Try it out*.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SORT_OPERATIONS": False,  # the order of urls.py
    "SORT_OPERATION_PARAMETERS": False,
    "POSTPROCESSING_HOOKS": ["proxy.schema.document.complete"],
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "displayRequestDuration": True, "defaultModelsExpandDepth": 0},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}


UNFOLD = {
    "SITE_TITLE": "LLM Gateway",
    "SITE_HEADER": "LLM Gateway",
    "SITE_SYMBOL": "hub",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": f"{STATIC_URL}comparisons/icon.svg"}],
    "SIDEBAR": {"navigation": NAVIGATION},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": "INFO"} for name in ("accounts", "proxy", "comparisons", "gateway_project")},
        # Ticks come every second; what goes wrong with one is still said.
        **{name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy")},
    },
}

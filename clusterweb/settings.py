"""Settings, all from the environment; nothing here asks how large the cluster is.

CLUSTERWEB_HOME          folder of all state (default: .clusterweb beside manage.py)
CLUSTERWEB_PORT          port of the dashboard (default 8000)
CLUSTERWEB_BIND          address it listens on (default 127.0.0.1)
CLUSTERWEB_ALLOWED_HOSTS names the dashboard answers to, separated by commas
CLUSTERWEB_SECRET_KEY    Django's secret key (default: a file in the home, made at first start)
CLUSTERWEB_REDIS_URL     broker and channel layer (default: what `make run` noted in the home)
DATABASE_URL             default: SQLite in the home
CLUSTERWEB_HTTPS         1 where a proxy in front speaks TLS: secure cookies, HSTS
CLUSTERWEB_DEBUG         1 for Django's debug pages; never in production
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("CLUSTERWEB_HOME", BASE_DIR / ".clusterweb")).absolute()
HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
PORT = int(os.environ.get("CLUSTERWEB_PORT", "8000"))
DEBUG = os.environ.get("CLUSTERWEB_DEBUG") == "1"


def _secret_key() -> str:
    """The key from the environment, else from the home; made there the first time."""
    if key := os.environ.get("CLUSTERWEB_SECRET_KEY"):
        return key
    path = HOME / "secret-key"
    if not path.exists():
        fresh = HOME / f"secret-key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        try:
            os.link(fresh, path)  # the first process wins, none sees half a file
        except FileExistsError:
            pass
        fresh.unlink()
    return path.read_text()


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = [
    h for h in os.environ.get("CLUSTERWEB_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h
]


def _redis_url() -> str:
    """From the environment, else the embedded broker's, so that commands need no variable."""
    if url := os.environ.get("CLUSTERWEB_REDIS_URL"):
        return url
    noted = HOME / "broker-url"
    return noted.read_text().strip() if noted.exists() else "redis://127.0.0.1:6379/0"


REDIS_URL = _redis_url()

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_htmx",
    "csp",
    "monitoring",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "monitoring.web.roles.ViewerRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "clusterweb.urls"
ASGI_APPLICATION = "clusterweb.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monitoring.web.context.cluster",
            ],
        },
    }
]

DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("DATABASE_URL") or f"sqlite:///{HOME / 'clusterweb.sqlite3'}",
        conn_max_age=600,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that will write waits for its turn at the start and never
    # fails in the middle. FULL: an accepted intent survives a loss of power.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
    }

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "clusterweb.live"},
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

USE_TZ = True
TIME_ZONE = os.environ.get("TZ") or "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_NAME = f"clusterweb_session_{PORT}"
CSRF_COOKIE_NAME = f"clusterweb_csrf_{PORT}"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if os.environ.get("CLUSTERWEB_HTTPS") == "1":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

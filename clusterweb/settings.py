"""Settings, all from the environment; nothing here asks how large the cluster is.

CLUSTERWEB_HOME          folder of all state (default: .clusterweb beside manage.py)
CLUSTERWEB_PORT          port of the dashboard (default 8000)
CLUSTERWEB_BIND          address it listens on (default 127.0.0.1)
CLUSTERWEB_ALLOWED_HOSTS names the dashboard answers to, separated by commas
CLUSTERWEB_SECRET_KEY    Django's secret key (default: a file in the home, made at first start)
CLUSTERWEB_NODE_REDIS_URL  the broker as nodes that join reach it, where that is another address
CLUSTERWEB_REDIS_URL     broker and channel layer (default: what `make run` noted in the home);
                         CLUSTERWEB_REDIS_CA_FILE, _CERT_FILE, _KEY_FILE: see monitoring.broker.address
DATABASE_URL             default: SQLite in the home
CLUSTERWEB_HTTPS         1 where a proxy in front speaks TLS: secure cookies, HSTS, no plain HTTP
CLUSTERWEB_TRUSTED_PROXIES
                         addresses or networks of proxies whose X-Forwarded-For is believed
                         (default: this machine's with CLUSTERWEB_HTTPS, else none)
CLUSTERWEB_TRUSTED_ORIGINS
                         other sites whose pages may send forms, as https://name; hardly ever needed
CLUSTERWEB_SESSION_HOURS hours until everybody has to sign in again (default 168)
CLUSTERWEB_SESSION_IDLE_HOURS
                         hours without a request until then (default 12)
CLUSTERWEB_LANGUAGE      language of the dashboard where neither the user nor the browser asks for one
                         that there is: en (default) or de
CLUSTERWEB_DEBUG         1 for Django's debug pages; never in production
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import sys
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from monitoring.broker import address
from monitoring.broker.address import Address, AddressError

BASE_DIR = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("CLUSTERWEB_HOME", BASE_DIR / ".clusterweb")).absolute()
HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
PORT = int(os.environ.get("CLUSTERWEB_PORT", "8000"))
DEBUG = os.environ.get("CLUSTERWEB_DEBUG") == "1"
TRAINING = os.environ.get("CLUSTERWEB_TRAINING") == "1"
"""Set by the supervisor of the one-machine demo alone: an administrator may break things."""


def _secret_key() -> str:
    """The key from the environment, else from the home; made there the first time."""
    if key := os.environ.get("CLUSTERWEB_SECRET_KEY"):
        if len(key) < 50 or len(set(key)) < 5:
            raise ImproperlyConfigured(
                "CLUSTERWEB_SECRET_KEY: at least 50 characters, by chance: openssl rand -hex 32"
            )
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


def _listed(name: str, default: str = "") -> list[str]:
    """The parts of a variable that are separated by commas."""
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def _hours(name: str, default: float) -> float:
    """A length of time in seconds, from a variable in hours."""
    try:
        hours = float(os.environ.get(name) or default)
    except ValueError:
        hours = 0
    if not 0.01 <= hours <= 24 * 366:
        raise ImproperlyConfigured(f"{name}: a number of hours, at most a year's, such as {default:g}")
    return hours * 3600


def _networks(name: str, default: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(text) for text in _listed(name, default)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def _language() -> str:
    language = os.environ.get("CLUSTERWEB_LANGUAGE") or "en"
    if language not in dict(LANGUAGES):
        known = ", ".join(code for code, _ in LANGUAGES)
        raise ImproperlyConfigured(f"CLUSTERWEB_LANGUAGE: {language!r} is none of {known}")
    return language


SECRET_KEY = _secret_key()
HTTPS = os.environ.get("CLUSTERWEB_HTTPS") == "1"
ALLOWED_HOSTS = _listed("CLUSTERWEB_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _listed("CLUSTERWEB_TRUSTED_ORIGINS")
TRUSTED_PROXIES = _networks("CLUSTERWEB_TRUSTED_PROXIES", "127.0.0.0/8,::1" if HTTPS else "")


def _redis_url() -> str:
    """From the environment, else the embedded broker's, so that commands need no variable."""
    if url := os.environ.get("CLUSTERWEB_REDIS_URL"):
        return url
    noted = HOME / "broker-url"
    return noted.read_text().strip() if noted.exists() else address.DEFAULT


def _broker() -> Address:
    try:
        return address.parse(os.environ, _redis_url())
    except AddressError as error:
        sys.exit(f"clusterweb: {error}")


BROKER = _broker()
NODE_BROKER_URL = os.environ.get("CLUSTERWEB_NODE_REDIS_URL") or _redis_url()
"""The broker as a node that joins is told of it."""

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
    "clusterweb.headers.every_answer",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "clusterweb.static_files.CompressedStaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "monitoring.web.sessions.SessionAgeMiddleware",
    "monitoring.access.trail.OriginMiddleware",
    "monitoring.web.reading.ReadingMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "monitoring.web.roles.ViewerRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
            # every template has texts: `translate` and `blocktranslate` need no `load`
            "builtins": ["django.templatetags.i18n"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monitoring.web.context.cluster",
            ],
        },
    }
]

# Half of the default lease (3 s) is what one frozen or vanished process may cost the others: then
# the server ends its transaction, and with it its locks. Who waits for such a lock waits a little
# longer than that, so that it gets it and does not give up at the same moment. No limit on a
# statement that runs: those under the lock are short, and a migration or a backup may take long.
# The rest is for a server that is gone without a word. `?name=value` in DATABASE_URL wins.
POSTGRESQL_OPTIONS = {
    "options": "-c idle_in_transaction_session_timeout=1500 -c lock_timeout=2500",
    "connect_timeout": 2,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 2000,
}

if not os.environ.get("DATABASE_URL"):
    # The keys of the nodes are in it. SQLite gives the files beside it the same mode.
    (HOME / "clusterweb.sqlite3").touch(mode=0o600)

DATABASES = {
    "default": dj_database_url.parse(
        os.environ.get("DATABASE_URL") or f"sqlite:///{HOME / 'clusterweb.sqlite3'}",
        conn_max_age=600,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"]["OPTIONS"] = {**POSTGRESQL_OPTIONS, **DATABASES["default"].get("OPTIONS", {})}
elif DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
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
        "CONFIG": {"hosts": [BROKER.layer], "prefix": "clusterweb.live"},
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
LANGUAGE_CODE = "en"  # of the sources and of all that is recorded; what a reader gets: monitoring.web.reading
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
DEFAULT_LANGUAGE = _language()
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

WHITENOISE_ALLOW_ALL_ORIGINS = False

# __Host-: a browser takes such a cookie over TLS only, and from this very host
_PREFIX = "__Host-" if HTTPS else ""
# Browsers do not keep the cookies of two ports apart. All web processes of one cluster share the
# secret key, and with it the names; two copies on one machine do not.
_COPY = hashlib.sha256(f"cookies {SECRET_KEY}".encode()).hexdigest()[:8]
SESSION_COOKIE_NAME = f"{_PREFIX}clusterweb_session_{_COPY}"
CSRF_COOKIE_NAME = f"{_PREFIX}clusterweb_csrf_{_COPY}"
DEVICE_COOKIE_NAME = f"{_PREFIX}clusterweb_browser_{_COPY}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "monitoring.web.errors.no_token"
SESSION_LONGEST = _hours("CLUSTERWEB_SESSION_HOURS", 168)
SESSION_IDLE = _hours("CLUSTERWEB_SESSION_IDLE_HOURS", 12)
SESSION_COOKIE_AGE = int(min(SESSION_LONGEST, SESSION_IDLE))
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # the server refuses more before it is read (web_server)
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^node/messages$"]  # nodes come past the proxy, and sign what they say
    SECURE_HSTS_SECONDS = 31_536_000
    # HSTS for the other names of the domain is for who owns the domain to decide
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
    }
}

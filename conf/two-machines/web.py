# The settings of the web machine of two (docs/operating.md): nginx, both servers, Redis and PostgreSQL.
PUBLIC_URL = "https://fsnebula.example"
TRUSTED_PROXIES = 1
REDIS = "redis://:a-password@web.internal:6379/0"
DATABASE = "postgresql+psycopg://knossos:a-password@web.internal/knossos"
STORAGE = "s3://knossos"
STORAGE_OPTIONS = {"endpoint": "https://s3.internal", "access_key_id": "...", "secret_access_key": "..."}
API_KEYS = ("the same on both machines",)
SECRET_KEY = "the same on both machines, at least 32 characters"  # noqa: S105
METRICS_TOKEN = "what-prometheus-sends"  # noqa: S105

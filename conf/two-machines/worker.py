# The settings of the worker machine of two (docs/operating.md): it listens nowhere, and reaches the web machine.
PUBLIC_URL = "https://fsnebula.example"
REDIS = "redis://:a-password@web.internal:6379/0"
DATABASE = "postgresql+psycopg://knossos:a-password@web.internal/knossos"
STORAGE = "s3://knossos"
STORAGE_OPTIONS = {"endpoint": "https://s3.internal", "access_key_id": "...", "secret_access_key": "..."}
API_KEYS = ("the same on both machines",)
SECRET_KEY = "the same on both machines, at least 32 characters"  # noqa: S105
# Where scripts call back: nginx's internal address, as conf/nginx.conf says.
SCRIPT_CALLBACK = "http://web.internal:8080"

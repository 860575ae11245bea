#!/usr/bin/env bash
# Starts Knossos on this machine: virtual environment, Redis, HTTP server, WebSocket server and workers.
#
#   ./launch.sh          run until Ctrl-C or SIGTERM
#   ./launch.sh demo     package a small mod end to end and say where its repository JSON is
#   ./launch.sh setup    only prepare: virtual environment, tables, secrets, administrator (for production)
#   ./launch.sh environment [REQUIREMENTS ...]
#                        only the virtual environment, with more in it where files are named (for tests)
#
# KNOSSOS_SETTINGS, KNOSSOS_DATA, REDIS, WORKERS, LOG_FORMAT and KNOSSOS_ADMIN_PASSWORD: see README.md.
# Exit codes: 0 stopped, 1 crashed, 2 bad settings, 3 something needed is missing.
set -euo pipefail
# A signal to stop while Python is looked for; nothing runs yet.
trap 'exit 0' HUP INT TERM

case "${BASH_SOURCE[0]}" in
    */*) cd -P -- "${BASH_SOURCE[0]%/*}" ;;
esac

fail() {
    printf 'launch     | %s\n' "$1" >&2
    exit 3
}

# The first Python that is new enough and can make a virtual environment.
python=""
too_old=""
incomplete=""
for candidate in python3.13 python3.12 python3.11 python3 python; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        too_old="$candidate is Python $version"
    elif ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        incomplete="$candidate (Python $version) cannot make virtual environments; Debian and Ubuntu have that in the package python$version-venv"
    else
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    [ -z "$incomplete" ] || fail "$incomplete"
    [ -z "$too_old" ] || fail "Knossos needs Python 3.11 or newer, but $too_old"
    fail "Knossos needs Python 3.11 or newer, and there is no python3 here"
fi

# From here on signals wait until Python can take them: while it starts, it would die of one.
hold=(env --block-signal=HUP,INT,TERM)
"${hold[@]}" true 2>/dev/null || hold=()

if [ "${1:-}" = environment ]; then
    exec "${hold[@]}" "$python" scripts/environment.py requirements.txt requirements-redis.txt "${@:2}" \
        -- -c 'import sys; from knossos.web import third_party; sys.exit(third_party.main())'
fi
exec "${hold[@]}" "$python" scripts/environment.py -- -m knossos.launch "$@"

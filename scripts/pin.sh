#!/usr/bin/env bash
# Write constraints.txt anew: what the packages of requirements*.txt bring along, as installed in py-env.
set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
direct=$(sed -nE 's/^([A-Za-z0-9_.-]+)(\[[a-z]+\])?==.*/\1/p' requirements.txt requirements-redis.txt requirements-dev.txt requirements-bench.txt requirements-docs.txt | tr 'A-Z_.' 'a-z--')
{
    echo "# Versions of what requirements*.txt bring along. Written by scripts/pin.sh."
    # What only other versions of Python need is kept as it is.
    grep -E '# Python ' constraints.txt || true
    py-env/bin/python -m pip freeze --disable-pip-version-check | while IFS= read -r line; do
        grep -qxF -- "$(tr 'A-Z_.' 'a-z--' <<<"${line%%==*}")" <<<"$direct" || echo "$line"
    done
} >constraints.new
mv constraints.new constraints.txt

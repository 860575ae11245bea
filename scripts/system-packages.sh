#!/usr/bin/env bash
# Installs what the tests and measurements need from the system, where this user may (root, or sudo without a password, and apt-get).
# Where it may not, the tests that need a missing program are skipped and name it.
set -euo pipefail

# program     package       for
wanted="
nginx         nginx         the production test
chromium      chromium      the pages in a real browser
chromium-headless-shell chromium-headless-shell the same, twice as fast
redis-server  redis-server  a Redis that speaks TLS, which the wheel's does not
openssl       openssl       a certificate for it
pg_isready    postgresql    the second kind of database
minisign      minisign      the client's check of a signed repository
bwrap         bubblewrap    the sandbox of scripts
sbatch        slurm-wlm     a real batch system for calculations
munged        munge         what its parts know each other by
slurmdbd      slurmdbd      its accounting, which sacct asks
mariadbd      mariadb-server what that keeps its rows in
elk-lapw      elk-lapw      a real calculation
ip            iproute2      the network that make chaos cuts
unshare       util-linux    the namespaces that it runs in
cc            gcc           the library by which it has clocks jump
bsdtar        libarchive-tools libarchive, which make bench reads archives with beside ours
"

missing=()
while read -r program package _; do
    [ -n "$program" ] || continue
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing+=("$package")
done <<<"$wanted"
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "not installed, as there is no apt-get here: ${missing[*]}"
    exit 0
fi
# RUNLEVEL=1: what is installed for tests is not started as a service of this machine.
if [ "$(id -u)" = 0 ]; then
    apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get)
elif sudo -n true 2>/dev/null; then
    apt=(sudo -n env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get)
else
    echo "not installed, as that needs root: ${missing[*]}"
    exit 0
fi

# Where another one installs something, this one waits for its lock.
apt+=(-o DPkg::Lock::Timeout=300)

echo "installing ${missing[*]}"
for try in once again; do
    if "${apt[@]}" install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
        exit 0
    fi
    [ "$try" = again ] || { "${apt[@]}" update -qq || sleep 20; }
done
echo "could not install ${missing[*]}; the tests that need them will be skipped"

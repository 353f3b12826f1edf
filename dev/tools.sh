#!/bin/sh
# Installs the Debian packages named, where it may; says aloud what it could not install.
# What needs them is then skipped by name, so a machine without root still runs everything else.

missing=""
for package in "$@"; do
    case "$package" in
        postgresql) ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ;;
        nats-server) command -v nats-server /usr/sbin/nats-server >/dev/null 2>&1 ;;
        rsyslog) command -v rsyslogd /usr/sbin/rsyslogd >/dev/null 2>&1 ;;
        rsyslog-relp) ls /usr/lib/*/rsyslog/imrelp.so >/dev/null 2>&1 ;;
        nodejs) command -v node >/dev/null 2>&1 ;;
        iproute2) command -v ip >/dev/null 2>&1 ;;
        ceph-common) command -v radosgw-admin >/dev/null 2>&1 ;;
        fonts-*) dpkg -s "$package" >/dev/null 2>&1 ;;
        *) command -v "$package" >/dev/null 2>&1 ;;
    esac || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing the system packages:$missing"
    # No daemon is to be started by their installation; an existing policy is left alone.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    # shellcheck disable=SC2086  # one word a package
    if { apt-get update -qq || true; } >/dev/null 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing \
            >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "NOT INSTALLED:$missing (this needs root and apt-get). What depends on it is skipped, by name."

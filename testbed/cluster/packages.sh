#!/bin/sh
# Installs the Debian packages that this project needs, and only says so when there is something to do.
set -eu

packages="
    buildah ca-certificates conntrack containerd containernetworking-plugins debootstrap git
    iproute2 iptables make mariadb-server mount procps python3 python3-venv runc skopeo socat util-linux
"

missing=""
for package in $packages; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "error: Debian packages are missing:$missing" >&2
    echo "Install them as root: sudo $0" >&2
    exit 2
fi

echo "==> Debian packages:$missing"

# The tests start their own containerd and their own databases: nothing installed here is to run by itself.
policy=/usr/sbin/policy-rc.d
own_policy=no
if [ ! -e "$policy" ]; then
    own_policy=yes
    trap '[ "$own_policy" = no ] || rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
if ! { apt-get update -q && apt-get install -qy --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "error: installing Debian packages failed; whole log: $log" >&2
    exit 1
fi
rm -f "$log"

# policy-rc.d only covers the installation: without this they would start with the machine's next boot.
if [ -d /run/systemd/system ]; then
    for service in containerd mariadb; do
        case " $missing " in
        *" $service "* | *" $service-server "*) systemctl disable --quiet "$service" ;;
        esac
    done
fi

#!/bin/sh
# Install the Debian packages that the test bed needs; print nothing when all are installed.
#
# Usage: packages.sh [--list] [--own-cluster]
#   --list          print the missing packages, one line, and install nothing
#   --own-cluster   leave out what only the local Kubernetes and its tests need
#
# No installed package is ever removed. containerd and runc are not installed where their programs are
# already on the PATH, because Docker's containerd.io conflicts with Debian's packages.
set -eu

list=no
own_cluster=no
for argument in "$@"; do
    case $argument in
    --list) list=yes ;;
    --own-cluster) own_cluster=yes ;;
    *)
        echo "Usage: $0 [--list] [--own-cluster]" >&2
        exit 2
        ;;
    esac
done

packages="buildah ca-certificates debootstrap git make mount prometheus python3 python3-venv skopeo util-linux"
if [ "$own_cluster" = no ]; then
    packages="$packages conntrack containernetworking-plugins iproute2 iptables mariadb-server procps socat"
    for program in containerd ctr containerd-shim-runc-v2; do
        command -v "$program" >/dev/null || { packages="$packages containerd" && break; }
    done
    command -v runc >/dev/null || packages="$packages runc"
fi

missing=""
for package in $packages; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ "$list" = yes ]; then
    echo "${missing# }"
    exit 0
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "error: Debian packages are missing:$missing" >&2
    echo "Install them as root: sudo $0 $*" >&2
    exit 2
fi

echo "==> Debian packages:$missing"

# The test bed starts its own containerd and its own databases, so nothing installed here may start a service.
policy=${POLICY_FILE:-/usr/sbin/policy-rc.d}
own_policy=no
if [ ! -e "$policy" ]; then
    own_policy=yes
    trap '[ "$own_policy" = no ] || rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# shellcheck disable=SC2086 # a list of words
if ! { apt-get update -q && apt-get install -qy --no-remove --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    if grep -q 'remove is disabled' "$log"; then
        echo "error: apt would have to remove installed packages to install:$missing" >&2
        echo "Nothing was changed. The list above names the packages that conflict. Install the programs of the" \
            "missing packages from the same source as the conflicting ones, or use a machine without them." >&2
    else
        echo "error: cannot install the Debian packages; whole log: $log" >&2
    fi
    exit 1
fi
rm -f "$log"

# policy-rc.d only covers the installation: without this the services would start at the next boot.
if [ -d /run/systemd/system ]; then
    for service in containerd mariadb prometheus; do
        case " $missing " in
        *" $service "* | *" $service-server "*) systemctl disable --quiet "$service" ;;
        esac
    done
fi

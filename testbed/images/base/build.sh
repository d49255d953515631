#!/bin/sh
# Makes a Debian root file system with Python, without Docker or a registry.
# Usage: build.sh SUITE PACKAGES(comma separated) DIRECTORY
# MIRROR: the Debian mirror (default: debootstrap's own).
set -eu
suite=$1 packages=$2 root=$3

debootstrap --variant=minbase --include="$packages" "$suite" "$root" ${MIRROR:+"$MIRROR"}

# Dockerfiles call `python`, as docker.io/library/python has it.
ln -sf /usr/bin/python3 "$root/usr/local/bin/python"

# What no container reads: package lists and archives, documentation, translations, logs.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/locale/* \
    "$root"/usr/share/lintian "$root"/var/log/*.log "$root"/var/log/apt
rm -f "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/etc/machine-id
: >"$root/etc/machine-id"

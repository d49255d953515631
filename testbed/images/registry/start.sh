#!/bin/sh
# PORT is the port to listen on. The registry requires a login if /run/login has the files username and password.
set -eu
{
    cat <<CONFIG
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /data}}
http: {addr: ":$PORT"}
CONFIG
    if [ -e /run/login/username ]; then
        htpasswd -iBn "$(cat /run/login/username)" </run/login/password >/tmp/htpasswd
        echo "auth: {htpasswd: {realm: registry, path: /tmp/htpasswd}}"
    fi
} >/tmp/config.yaml
exec docker-registry serve /tmp/config.yaml

#!/bin/sh
# Root logs in over the socket alone, as the system user mysql: no password of an administrator exists.
set -eu
if [ ! -d /data/db ]; then
    rm -rf /data/new
    mariadb-install-db --no-defaults --datadir=/data/new --skip-test-db \
        --auth-root-authentication-method=socket --auth-root-socket-user=mysql >/dev/null
    mv /data/new /data/db
fi
exec mariadbd --no-defaults --datadir=/data/db --socket=/run/db/mysqld.sock --pid-file=/run/db/mysqld.pid \
    --bind-address=0.0.0.0 --skip-name-resolve --character-set-server=utf8mb4 \
    --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --performance-schema=OFF "$@"

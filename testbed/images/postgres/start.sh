#!/bin/sh
# The administrator logs in over the socket alone, as the system user postgres: no password of one exists.
set -eu
if [ ! -d /data/db ]; then
    rm -rf /data/new
    initdb --pgdata=/data/new --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256 >/dev/null
    echo "host all all all scram-sha-256" >>/data/new/pg_hba.conf
    mv /data/new /data/db
fi
# A server that was killed leaves its pid file on the volume; in the new container that pid is another process.
rm -f /data/db/postmaster.pid
exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/run/db -c shared_buffers=32MB

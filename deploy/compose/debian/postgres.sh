#!/bin/sh
# As the image of PostgreSQL does: an empty folder becomes a cluster, and the scripts beside run once.
set -eu
bin="$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
PATH="$bin:$PATH"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  made="$PGDATA.making"
  rm -rf "$made"
  initdb -D "$made" -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  echo "host all all all scram-sha-256" >> "$made/pg_hba.conf"
  pg_ctl -D "$made" -w -o "-c listen_addresses='' -k /tmp" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do PGHOST=/tmp sh "$script"; done
  pg_ctl -D "$made" -w -m fast stop >/dev/null
  mv "$made" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -k /tmp

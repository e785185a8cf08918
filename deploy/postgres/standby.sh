#!/usr/bin/env bash
# Runs a warm standby of the PostgreSQL server that PRIMARY names: copies it the first time, and follows
# it from then on, with the command that it is given. A replication slot keeps what it has not read.
set -euo pipefail

primary=${PRIMARY:?names no server}
port=${PRIMARY_PORT:-5432}
slot=${SLOT:-standby}
PGPASSWORD=$(<"$POSTGRES_PASSWORD_FILE")
export PGPASSWORD

# Not the file that says so in every copy: one that was cut short has it too.
if [[ ! -e $PGDATA/copied ]]; then
  rm -rf "${PGDATA:?}"/*
  psql -qAt -h "$primary" -p "$port" -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "
    SELECT pg_create_physical_replication_slot('$slot')
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$slot')"
  pg_basebackup -h "$primary" -p "$port" -U "$POSTGRES_USER" -D "$PGDATA" \
    --write-recovery-conf --wal-method=stream --slot="$slot" --checkpoint=fast
  touch "$PGDATA/copied"
fi
chmod 0700 "$PGDATA"
unset PGPASSWORD
exec "$@"

#!/usr/bin/env bash
# Makes the passwords of the stack at its first start, each once, in volumes that only the services
# that need them mount. To give one of your own, write it there before the first start.
set -euo pipefail

db=/secrets/db
grafana=/secrets/grafana

# Hex digits alone: they need no escaping in a URL.
password() { [[ -s $1 ]] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1"; }

password "$db/password"
password "$grafana/admin-password"
for shard in 0 1 2; do
  url=postgres://urlshort:$(<"$db/password")@shard-$shard:5432/urlshort
  printf '%s' "$url" >"$db/shard-$shard.url"
done
# Every service has a user of its own; the volumes are what keeps the files from others.
chmod 0444 "$db"/* "$grafana"/*

#!/usr/bin/env bash
# Makes the passwords of the stack at its first start, each once, in volumes that only the services
# that need them mount. To give one of your own, write it there before the first start. The token of
# the tunnel comes from TUNNEL_TOKEN, at each start.
set -euo pipefail

db=/secrets/db
grafana=/secrets/grafana
tunnel=/secrets/tunnel

# Writes what it reads under a new name, and then in place of what was there: this runs at every
# start, as a root without capabilities, who cannot write to a file that says read-only. Every
# service has a user of its own, so all may read: the volumes are what keeps files from others.
write() {
  cat >"$1.new"
  chmod 0444 "$1.new"
  mv -f "$1.new" "$1"
}

# Hex digits alone: they need no escaping in a URL.
password() { [[ -s $1 ]] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' | write "$1"; }

rm -f "$db"/*.new "$grafana"/*.new "$tunnel"/*.new # of a start that was cut short
password "$db/password"
password "$grafana/admin-password"
for shard in 0 1 2; do
  account=postgres://urlshort:$(<"$db/password")
  printf '%s' "$account@shard-$shard:5432/urlshort" | write "$db/shard-$shard.url"
  # For compose.standby.yaml: whichever of the two may write.
  printf '%s' "$account@shard-$shard,standby-$shard:5432/urlshort?target_session_attrs=read-write" |
    write "$db/shard-$shard-or-standby.url"
done
printf '%s' "${TUNNEL_TOKEN-}" | write "$tunnel/token"

#!/usr/bin/env bash
# Makes the topics of clicks and of new links, or leaves them as they are: 64 partitions (one for each
# slot, for ever), as many copies as there are brokers, at most 3, stamped by the broker's clock.
# Nothing but bash and rpk: the image promises no more.
set -euo pipefail

read -r -a topics <<<"${TOPICS:-urlshort.clicks urlshort.links}"

# The lines of a table of rpk that begin with a number.
numbered() {
  local line n=0
  while read -r line; do [[ $line != [0-9]* ]] || n=$((n + 1)); done
  echo "$n"
}

# How many partitions a topic has; nothing, if it is not there.
partitions() {
  local name n rest list
  list=$(rpk topic list)
  while read -r name n rest; do [[ $name != "$1" ]] || echo "$n"; done <<<"$list"
}

brokers=$(rpk cluster info --print-brokers | numbered)
copies=$((brokers < 3 ? brokers : 3))
settings=(
  --topic-config cleanup.policy=delete
  --topic-config "retention.ms=${RETENTION_MS:-604800000}"
  --topic-config message.timestamp.type=LogAppendTime
  --topic-config max.message.bytes=1048576
)

for topic in "${topics[@]}"; do
  if [[ -n $(partitions "$topic") ]]; then
    echo "$topic is there"
  elif ! rpk topic create "$topic" --partitions 64 --replicas "$copies" "${settings[@]}"; then
    # Copies vote, so Redpanda takes an odd number of them only.
    ((copies == 2)) || exit 1
    echo "$topic: two brokers keep one copy; run three" >&2
    rpk topic create "$topic" --partitions 64 --replicas 1 "${settings[@]}"
  fi
  n=$(partitions "$topic")
  if [[ $n != 64 ]]; then
    echo "$topic has ${n:-no} partitions; urlshort needs 64: name another topic" >&2
    exit 1
  fi
done

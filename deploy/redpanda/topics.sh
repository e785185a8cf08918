#!/usr/bin/env bash
# Makes the topics of clicks and of new links, or leaves them as they are: 64 partitions (one for each
# slot, for ever), as many copies as there are brokers, at most 3, stamped by the broker's clock.
set -euo pipefail

read -r -a topics <<<"${TOPICS:-urlshort.clicks urlshort.links}"
brokers=$(rpk cluster info --print-brokers | grep -cE '^[0-9]+')
copies=$((brokers < 3 ? brokers : 3))

settings=(
  --topic-config cleanup.policy=delete
  --topic-config "retention.ms=${RETENTION_MS:-604800000}"
  --topic-config message.timestamp.type=LogAppendTime
  --topic-config max.message.bytes=1048576
)
if ((copies == 3)); then settings+=(--topic-config min.insync.replicas=2); fi

for topic in "${topics[@]}"; do
  if rpk topic describe "$topic" >/dev/null 2>&1; then
    echo "$topic is there"
  else
    rpk topic create "$topic" --partitions 64 --replicas "$copies" "${settings[@]}"
  fi
  partitions=$(rpk topic describe "$topic" --print-partitions | grep -cE '^[0-9]+')
  if ((partitions != 64)); then
    echo "$topic has $partitions partitions; urlshort needs 64: name another topic" >&2
    exit 1
  fi
done

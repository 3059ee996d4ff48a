#!/usr/bin/env bash
# The API in five curl lines: submit, wait, fetch, and look around.
#
#   examples/curl.sh night.mp3
#
# Against a farm with API keys, add:  -H "Authorization: Bearer $FARM_API_KEY"
set -euo pipefail
farm=${FARM_URL:-http://127.0.0.1:8000}
farm=${farm%/}
target=${1:?name the file that the audio goes to}

# 1. Submit. The Idempotency-Key makes it safe to send again after a lost answer.
job=$(curl -sSf "$farm/v1/jobs" -H 'Content-Type: application/json' -H "Idempotency-Key: $(date +%s%N)-$$" \
    -d '{"input": "It was a dark and stormy night.", "voice": "en-gb", "output": {"format": "mp3"}}')
id=$(sed -E 's/^\{"id":"([^"]+)".*/\1/' <<<"$job")

# 2. Wait for its end: a long poll, which answers as soon as it has ended, or after 60 seconds.
curl -sSf "$farm/v1/jobs/$id?wait=60" && echo

# 3. Fetch the audio; -L follows to the bucket where the farm has one.
curl -sSfL "$farm/v1/jobs/$id/audio" -o "$target"

# 4. What was said when: offsets, durations and where each clip came from.
curl -sSfL "$farm/v1/jobs/$id/manifest" && echo

# 5. What waits, and who works on it.
curl -sSf "$farm/v1/queue" && echo

#!/bin/sh
# Pause a job and wait until it is paused, let it go on, follow its events to its end: sh and socat.
set -e
job=$1

request() { printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' "$1" "$2"; }

ask() {
    reply=$(request "$@" | socat -t 90 - "UNIX-CONNECT:$MARIANNE_SOCKET") # so long it waits for the answer
    echo "$reply"
    case $reply in *'"error":{'*) exit 1 ;; esac
}

ask job.pause "{\"job_id\":\"$job\",\"wait\":true,\"timeout\":30}"
ask job.resume "{\"job_id\":\"$job\"}"

pipe=$(mktemp -u) && mkfifo "$pipe"
request events.subscribe "{\"job_id\":\"$job\",\"after\":0}" |
    socat -t 86400 - "UNIX-CONNECT:$MARIANNE_SOCKET" > "$pipe" &
sed -E '/"type":"job.(completed|failed|cancelled)"/q' < "$pipe"
rm "$pipe"
kill $! 2> /dev/null || true # it may have seen that nobody reads

#!/bin/sh
# Pause a job and wait until it is paused, let it go on, follow its events to its end: sh and socat.
set -e
job=$1
lock=${XDG_STATE_HOME:-$HOME/.local/state}/marianne/lock
socket=${MARIANNE_SOCKET:-$(sed 's/.*"socket": *"\([^"]*\)".*/\1/' "$lock")}

request() { printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' "$1" "$2"; }

ask() {
    reply=$(request "$@" | socat -t 90 - "UNIX-CONNECT:$socket") # so long it waits for the answer
    echo "$reply"
    case $reply in *'"error":{'*) exit 1 ;; esac
}

ask job.pause "{\"job_id\":\"$job\",\"wait\":true,\"timeout\":30}"
ask job.resume "{\"job_id\":\"$job\"}"

pipe=$(mktemp -u) && mkfifo "$pipe"
request events.subscribe "{\"job_id\":\"$job\",\"after\":0}" |
    socat -t 86400 - "UNIX-CONNECT:$socket" > "$pipe" &
sed -E '/"type":"job.(completed|failed|cancelled)"/q' < "$pipe"
rm "$pipe"
kill $! 2> /dev/null || true # it may have seen that nobody reads

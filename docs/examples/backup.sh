#!/usr/bin/env bash
# Backup and restore by the commands of the operator's guide (Keys and backup), against the simulator: copies are made while a
# service works on a run, the service is lost with its folder, and another one goes on from a copy elsewhere.
#
#   docs/examples/backup.sh PROGRAM
#
# Needs bash, curl, and sqlite3 or python3: what is there of the two makes a copy. Without both it ends with code 69. Listens at
# 127.0.0.1 only, at free ports, and ends the processes that it starts.
set -euo pipefail

program=$(realpath "${1:?usage: backup.sh PROGRAM}")
examples=$(dirname "$(realpath "$0")")
tools=()
for tool in sqlite3 python3; do
    if command -v "$tool" > /dev/null; then tools+=("$tool"); fi
done
[[ ${#tools[@]} -gt 0 ]] || { echo "backup.sh needs sqlite3 or python3" >&2; exit 69; }
source "$examples/stage.sh"
LIVE=$place/live BACKUP=$place/backup ELSEWHERE=$place/elsewhere RESTORED=$place/restored
mkdir -m 700 "$LIVE" "$BACKUP" "$ELSEWHERE" "$RESTORED" other

fail() { printf 'NOT AS PROMISED: %s\n%s\n' "$1" "${OUT:-}" >&2; tail -n 20 "$place"/*.log >&2; exit 1; }
wiz-context() { "$program" "$@"; }

# Shows the command that standard input holds, as the guide has it, and runs it.
call() {
    local text
    text=$(cat)
    printf '$ %s\n' "$text"
    # Here, so that `umask` lasts.
    eval "$text" > "$place/out" || fail "it ended with $?"
    OUT=$(< "$place/out")
    if [[ -n $OUT ]]; then printf '%s\n' "$OUT"; fi
}
has() { [[ $OUT == *"$1"* ]] || fail "$1 is missing"; }
serve() { # FOLDER LOG
    (cd "$1" && exec "$program" serve --listen 127.0.0.1:0 --wiz-requests-per-second 8 2> "$place/$2") &
    service=$!
    BASE=http://$(listening "$2")/api/v1
    KEY=$(cat "$1/admin-key")
}
ask() { OUT=$(curl -s "$BASE/$1" -H "Authorization: Bearer ${AS:-$KEY}" "${@:2}"); }
run() { # to its end
    ask "integrations/context/$ID/run" -X PUT -H 'Prefer: wait=60'
    OUT=${OUT##*\"run\":}
    has '"state":"succeeded"'
}
until_status() {
    for _ in $(seq 300); do
        ask "integrations/context/$ID/status"
        if [[ $OUT == *"$1"* ]]; then return; fi
        sleep 0.1
    done
    fail "the status does not become: $1"
}
settings() { ask "integrations/context/$ID" && sed 's/,"status":.*//' <<< "$OUT"; }
# Fusion holds the labels that follow from a made-up report of these settings.
same_labels() {
    fusion_holds | sed '/^$/d' > held
    "$program" simulate --header full49 "$@" --write-report - | "$program" labels - 2> summary | LC_ALL=C sort > wanted
    cmp held wanted || fail "Fusion does not hold the labels that follow from the report"
}

start_simulator --listen 127.0.0.1:0 --report-seconds 3
SECRET=$(sed -n 's/.*"clientsecret": *"\([^"]*\)".*/\1/p' body.json)

echo "== A service with a run behind it, a key of its own, and a run of another day's report under way"
serve "$LIVE" live.log
ask integrations/context -H 'Content-Type: application/json' --data @body.json
ID=$(text id)
run
ask api-keys -H 'Content-Type: application/json' --data '{"name": "reader", "role": "readonly"}'
READER=$(text key) LIVE_KEY=$KEY
before=$(settings)
another_day='--day 40 --findings 2400 --assets 170'
curl -sf "$WIZ/simulator/report" --data '{"day":40,"findings":2400,"assets":170}'
ask "integrations/context/$ID/run" -X PUT
RUN=${OUT##*\"run\":} RUN=$(OUT=$RUN text id)
until_status '"phase":"waiting_for_report"'
ask audit/verify
HEAD=$(text head)

echo "== A copy while it runs"
call <<'CALL'
umask 077
CALL
for tool in "${tools[@]}"; do
    COPY=$BACKUP/$tool.db
    if [[ $tool == sqlite3 ]]; then
        call <<'CALL'
sqlite3 -readonly "$LIVE/wiz-context.db" "VACUUM INTO '$COPY'"
CALL
        call <<'CALL'
sqlite3 -readonly "$COPY" 'PRAGMA integrity_check'
CALL
        has ok
    else
        call <<'CALL'
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1], uri=True).execute("VACUUM INTO ?", sys.argv[2:])' "file:$LIVE/wiz-context.db?mode=ro" "$COPY"
CALL
    fi
    call <<'CALL'
wiz-context audit verify --database-url "sqlite://$COPY"
CALL
    has 'valid: '
    wiz-context audit verify --database-url "sqlite://$COPY" --head "$HEAD" > /dev/null || fail "records are missing"
done
call <<'CALL'
cp -p "$LIVE/encryption-key" "$ELSEWHERE/"
CALL
for file in "$BACKUP"/* "$ELSEWHERE"/*; do
    [[ $(stat -c %a "$file") == 600 ]] || fail "$file is not its owner's alone"
done
encryption_key=$(sed 's/^[^:]*://' "$ELSEWHERE/encryption-key")
if grep -qaF -e "$SECRET" -e "$encryption_key" -e "$LIVE_KEY" -e "$READER" -e "$NETOSECRET" "$BACKUP"/*; then
    fail "a secret is readable in a copy"
fi

echo "== The service goes on, changes Fusion, and is lost with its folder"
until_status '"state":"idle"'
same_labels $another_day
kill -9 "$service"
wait "$service" 2> /dev/null || true
service=''
rm -r "$LIVE"

echo "== Restored elsewhere"
for tool in "${tools[@]}"; do
    COPY=$BACKUP/$tool.db
    echo "(the copy that $tool made)"
    rm -rf "$RESTORED" && mkdir -m 700 "$RESTORED"
    call <<'CALL'
cp "$COPY" "$RESTORED/wiz-context.db"
CALL
    call <<'CALL'
cp "$ELSEWHERE/encryption-key" "$RESTORED/"
CALL
    call <<'CALL'
chmod 600 "$RESTORED"/*
CALL
    serve "$RESTORED" "restored-$tool.log"
    [[ $KEY != "$LIVE_KEY" ]] || fail "the admin key is in the copy"
    AS=$LIVE_KEY ask runs && has '"status":401,'
    AS=$READER ask runs && has "$RUN"
    [[ $(settings) == "$before" ]] || fail "the integration is not as it was"
    # The run that was under way goes on where it was.
    until_status '"state":"idle"'
    ask "runs/$RUN"
    has '"state":"succeeded"'
    same_labels $another_day
    # The ledger knows what Fusion holds: nothing is left to do, and nothing differs.
    run && has '"added":0,"changed":0,"removed":0'
    ask "integrations/context/$ID/verify?repair=true" -X POST
    VERIFICATION=${OUT##*\"run\":} VERIFICATION=$(OUT=$VERIFICATION text id)
    until_status '"state":"idle"'
    ask "runs/$VERIFICATION"
    has '"added":0,"changed":0,"removed":0'
    [[ $OUT != *labels_differ* ]] || fail "the ledger differs from Fusion"
    ask audit/verify && has '"valid":true'
    kill "$service"
    wait "$service" || fail "the service ended with $?"
    service=''
    wiz-context audit verify --database-url "sqlite://$RESTORED/wiz-context.db" --head "$HEAD" > /dev/null ||
        fail "records are missing"
    if grep -E ' (WARN|ERROR) ' "restored-$tool.log" | grep -v -e 'the key is refused'; then fail "the log has warnings"; fi
done

echo "== Without the encryption key it says what is missing"
cp "$BACKUP/${tools[0]}.db" other/wiz-context.db
chmod 600 other/*
if (cd other && "$program" serve --listen 127.0.0.1:0 2> "$place/other.log"); then fail "it started"; fi
grep -q 'encryption-key is gone, and nothing else opens the stored secrets of: simulated' other.log || fail "the log does not say it"
curl -s "$WIZ/simulator/state" | grep -qF '"violations":[]' || fail "Wiz or Fusion saw what they must not"
echo "== All as promised, with ${tools[*]}, in $SECONDS s"

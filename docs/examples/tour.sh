#!/usr/bin/env bash
# A tour of the service by hand: the simulator in the place of Wiz and Fusion, the service, and each call by curl. What is
# promised of a call is checked, so that the tour is a test of the program as its users see it.
#
#   docs/examples/tour.sh PROGRAM [FOLDER]
#
# PROGRAM is the wiz-context to look at. With FOLDER the calls of the API guide and what they answered are kept there, for
# docs/examples/fill-guide.py. Needs bash, curl and the usual tools. Listens at 127.0.0.1 only, at free ports unless
# SIMULATOR and SERVICE name others, and ends the two processes that it starts.
set -euo pipefail

program=$(realpath "${1:?usage: tour.sh PROGRAM [FOLDER]}")
examples=$(dirname "$(realpath "$0")")
record=${2:+$(mkdir -p "$2" && realpath "$2")}
source "$examples/stage.sh"

# ---- what the tour is told with

title() { printf '\n== %s\n' "$*"; }

fail() {
    printf '\nNOT AS PROMISED: %s\n%s\n' "$1" "${OUT:-}" >&2
    tail -n 20 "$place/service.log" >&2
    exit 1
}

# As the guide's readers call the program.
wiz-context() { "$program" "$@"; }

# Shows the call that standard input holds, makes it, and keeps what it prints in OUT. Under a name it is kept for the
# guide too.
call() {
    local text
    text=$(cat)
    printf '$ %s\n' "$text"
    OUT=$(eval "$text") || fail "the call ended with $?"
    printf '%.400s\n' "$OUT"
    if [[ -n $record && -n ${1:-} ]]; then
        printf '%s\n----\n%s\n' "$text" "$OUT" > "$record/$1"
    fi
}

# The last call printed this.
has() { [[ $OUT == *"$1"* ]] || fail "$1 is missing in what the last call printed"; }
hasnt() { [[ $OUT != *"$1"* ]] || fail "$1 is in what the last call printed"; }

# The last call printed a problem of this status and name.
problem() {
    has "\"status\":$1,"
    has "\"name\":\"$2\""
    has '"request_id":"'
}

# As `text`, of a number.
number() { sed -n "s/^\"$1\":\([0-9]*\).*/\1/p" <<< "${OUT//\"$1\":/$'\n'\"$1\":}" | head -n 1; }

# What the last call printed of the run that it started or changed.
run_part() { OUT=${OUT##*\"run\":}; }

# Without a word: the simulator's figure of that name.
simulated() { curl -s "$WIZ/simulator/state" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# The labels that follow from a made-up report of these settings, as the command line works them out, and those of others.
follows() {
    {
        "$program" simulate --header full49 "$@" --write-report - | "$program" labels - 2> summary
        cat planted
    } | LC_ALL=C sort
}
same_labels() {
    fusion_holds | sed '/^$/d' > held
    follows "$@" > wanted
    cmp held wanted || fail "Fusion does not hold the labels that follow from the report"
    printf '(Fusion holds %s pairs: those of the report, and those of others)\n' "$(wc -l < held)"
}

# Asks for the status until it tells this.
until_status() {
    for _ in $(seq 300); do
        OUT=$(curl -s "$BASE/api/v1/integrations/context/$ID/status" -H "Authorization: Bearer $KEY")
        if [[ $OUT == *"$1"* ]]; then return; fi
        sleep 0.1
    done
    fail "the status does not become: $1"
}

# ---- the two processes

title "The simulator in the place of Wiz and Fusion, and the service"
start_simulator --listen "${SIMULATOR:-127.0.0.1:0}" --report-seconds 2
"$program" serve --listen "${SERVICE:-127.0.0.1:0}" --wiz-requests-per-second 8 2> service.log &
service=$!
BASE=http://$(listening service.log)
KEY=$(cat admin-key)
"$program" health --listen "${BASE#http://}"
for file in admin-key encryption-key wiz-context.db; do
    [[ $(stat -c %a "$file") == 600 ]] || fail "$file is not its owner's alone"
done
OUT=$(curl -s "$WIZ/simulator/state")

call check_health <<'CALL'
curl -s "$BASE/healthz"
CALL
has '"status":"ok"'
call check_readiness <<'CALL'
curl -s "$BASE/readyz"
CALL
has '"status":"ok"'

title "Labels of another product: one of its own context, and one that looks like ours"
cat > planted <<'END'
{"ip":"192.0.2.50","context":"cve","labels":["CVE-1999-0001"]}
{"ip":"192.0.2.50","context":"owner","labels":["alice"]}
END
call story_plant <<'CALL'
while read -r label; do curl -sf -X PUT "$WIZ/simulator/labels" --data "$label"; done < planted
CALL
same_labels --findings 0

# ---- a first run

title "Create and Run"
call 'create_integration?run=true' <<'CALL'
curl -si "$BASE/api/v1/integrations/context?run=true" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data @body.json
CALL
has 'HTTP/1.1 201 '
has 'etag: "1"'
ID=$(text id)
run_part
RUN=$(text id)
has '"state":"queued"'
has '"trigger":"create"'

title "The status while it runs"
until_status '"phase":"waiting_for_report"'
call read_status <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/status" -H "Authorization: Bearer $KEY"
CALL
has "\"active_run\":{\"id\":\"$RUN\""
has '"label_age_s":null'
has '"fusion":"ok"'
call <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run?if_running=reject" -H "Authorization: Bearer $KEY"
CALL
problem 409 run_under_way

title "Another start joins it; its end can be waited for"
call 'start_run Prefer: wait=60' <<'CALL'
curl -si -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
has 'HTTP/1.1 200 '
has 'preference-applied: wait=60'
has '"context":"cvss_rating"'
run_part
[[ $(text id) == "$RUN" ]] || fail "another run was started"
has '"state":"succeeded"'
same_labels
call read_run <<'CALL'
curl -s "$BASE/api/v1/runs/$RUN" -H "Authorization: Bearer $KEY"
CALL
has '"verdict":"complete"'
[[ $(number added) == "$(simulated labels_put)" ]] || fail "the run does not count what Fusion was sent"
call list_labels <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/labels?context=cve&limit=2" -H "Authorization: Bearer $KEY"
CALL
has '"context":"cve"'
hasnt '"context":"cvss_score"'
has '"next":"'
ADDRESS=$(text ip)
call 'list_labels of an address' <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/labels?ip=$ADDRESS" -H "Authorization: Bearer $KEY"
CALL
has '"context":"vuln_count"'

title "A check of the connection changes nothing"
before=$(simulated labels_put)
call check_integration <<'CALL'
curl -s -X POST "$BASE/api/v1/integrations/context/$ID/check" -H "Authorization: Bearer $KEY"
CALL
has '"ok":true'
hasnt '"state":"failed"'
curl -sf "$WIZ/simulator/faults" --data '{"operation":"fusion.token","effect":{"status":{"status":401}}}'
call 'check_integration failed' <<'CALL'
curl -s -X POST "$BASE/api/v1/integrations/context/$ID/check" -H "Authorization: Bearer $KEY"
CALL
has '"ok":false'
has 'Fusion refused the key in NETOSECRET'
[[ $before == "$(simulated labels_put)" ]] || fail "labels were written"
title "Why an address carries its labels"
call read_address <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/addresses/$ADDRESS" -H "Authorization: Bearer $KEY"
CALL
has '"state":"right"'
has "\"changed_by\":\"$RUN\""
has '"own":true'
has '"kev":'
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/addresses/10.0.0.0%2F8" -H "Authorization: Bearer $KEY"
CALL
problem 400 invalid_body
has '"pointer":"{ip}"'

# ---- further runs

title "A second run of the same report writes nothing"
before=$(simulated labels_put)
call start_run <<'CALL'
curl -si -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
run_part
has '"state":"queued"'
RUN=$(text id)
call follow_run <<'CALL'
curl -sN "$BASE/api/v1/runs/$RUN/events" -H "Authorization: Bearer $KEY"
CALL
has 'event: phase'
[[ ${OUT##*event: } == finished* ]] || fail "the stream does not end with the run"
[[ $(grep -c '^event: finished$' <<< "$OUT") == 1 ]] || fail "the run ends more than once"
until_status '"state":"idle"'
OUT=${OUT#*\"last_run\":}
has "$RUN"
has '"added":0,"changed":0,"removed":0'
after=$(simulated labels_put)
printf '(labels_put before %s, after %s)\n' "$before" "$after"
call story_unchanged <<'CALL'
curl -s "$BASE/api/v1/runs/$RUN" -H "Authorization: Bearer $KEY"
CALL
has '"added":0,"changed":0,"removed":0'
[[ $before == "$after" ]] || fail "labels were written"

another_day='--day 40 --findings 2400 --assets 170'
title "A dry run of another day's report shows what would change, and changes nothing"
call story_another_day <<'CALL'
curl -sf "$WIZ/simulator/report" --data '{"day":40,"findings":2400,"assets":170}'
CALL
call start_dry_run <<'CALL'
curl -si "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
has '"dry_run":true'
until_status '"state":"idle"'
call 'start_dry_run ended' <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY"
CALL
has '"code":200'
run_part
DRY=$(text id)
would_remove=$(number removed)
[[ $(number changed) -gt 0 && $would_remove -gt 0 ]] || fail "the other day changes nothing"
same_labels
[[ $after == "$(simulated labels_put)" ]] || fail "labels were written"
call <<'CALL'
curl -si --head "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 405 '
has 'allow: GET,PUT'

call list_plan_steps <<'CALL'
curl -s "$BASE/api/v1/runs/$DRY/plan?limit=3" -H "Authorization: Bearer $KEY"
CALL
has '"count":3'
has '"change":"'
has "\"removed\":$would_remove,"
call 'list_plan_steps as text' <<'CALL'
curl -s "$BASE/api/v1/runs/$DRY/plan?limit=4" -H "Authorization: Bearer $KEY" -H 'Accept: text/plain'
CALL
has "$would_remove to remove"

title "A run: the labels follow the report, and stale ones go"
call story_changed <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
run_part
has '"state":"succeeded"'
[[ $(number removed) == "$would_remove" && $would_remove == "$(simulated labels_deleted)" ]] ||
    fail "it did not remove what the dry run foretold"
same_labels $another_day
call story_others <<'CALL'
curl -s "$WIZ/simulator/labels" | sed 's/},{/}\n{/g' | grep 192.0.2.50
CALL
has 'CVE-1999-0001'
has 'alice'

title "A full run sends all labels again"
before=$(simulated labels_put)
call <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run?full=true" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
[[ $(simulated labels_put) == $((before + $(wc -l < wanted) - $(wc -l < planted))) ]] || fail "labels were left out"
same_labels $another_day

title "The last report once more, without asking Wiz for a new one"
call 'start_run?report=last' <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run?report=last" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
run_part
has '"report_choice":"last"'
has '"added":0,"changed":0,"removed":0'
same_labels $another_day

title "A report that is cut short changes nothing"
curl -sf "$WIZ/simulator/faults" \
    --data '{"operation":"wiz.report_file","effect":{"truncate":{"bytes":9000,"ending":"honest"}}}'
call 'start_run failed' <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
has '"data":[]'
has '"kind":"incomplete"'
same_labels $another_day

title "A report that would remove a great part of the labels: they are held until a person approves it"
before=$(simulated labels_deleted)
curl -sf "$WIZ/simulator/report" --data '{"day":40,"findings":900,"assets":60}'
call 'start_run held' <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY" -H 'Prefer: wait=60'
CALL
run_part
has '"state":"held"'
has '"code":"removals_held"'
RUN=$(text id)
held_back=$(number held)
[[ $held_back -gt 40 && $(simulated labels_deleted) == "$before" ]] || fail "labels were removed without asking"
call approve_run <<'CALL'
curl -si -X POST "$BASE/api/v1/runs/$RUN/approve" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
has '"trigger":"approval"'
until_status '"state":"idle"'
has '"held":0,'
another_day='--day 40 --findings 900 --assets 60'
same_labels $another_day
[[ $(simulated labels_deleted) == $((before + held_back)) ]] || fail "more or less was removed than was held"
call plan_replaced <<'CALL'
curl -s -X POST "$BASE/api/v1/runs/$RUN/approve" -H "Authorization: Bearer $KEY"
CALL
problem 409 plan_replaced

# ---- the ledger and what Fusion really holds

title "Somebody else changes a label: a verification finds it"
OUT=$(curl -s "$BASE/api/v1/integrations/context/$ID/labels?context=vuln_count&limit=1" -H "Authorization: Bearer $KEY")
ADDRESS=$(text ip)
curl -sf -X PUT "$WIZ/simulator/labels" --data '{"ip":"'"$ADDRESS"'","context":"vuln_count","labels":["1"]}'
call verify_labels <<'CALL'
curl -si -X POST "$BASE/api/v1/integrations/context/$ID/verify" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
has '"trigger":"verify"'
run_part
RUN=$(text id)
until_status '"state":"idle"'
call <<'CALL'
curl -s "$BASE/api/v1/runs/$RUN" -H "Authorization: Bearer $KEY"
CALL
has '"added":0,"changed":1,"removed":0'
has '"code":"labels_differ"'
has '"code":"labels_unknown"'
call 'list_plan_steps of a verification' <<'CALL'
curl -s "$BASE/api/v1/runs/$RUN/plan" -H "Authorization: Bearer $KEY"
CALL
has '"before":["1"]'

title "… and writes it right when it is to"
before=$(simulated labels_put)
call 'verify_labels?repair=true' <<'CALL'
curl -s -X POST "$BASE/api/v1/integrations/context/$ID/verify?repair=true" -H "Authorization: Bearer $KEY"
CALL
until_status '"state":"idle"'
same_labels $another_day
[[ $(simulated labels_put) == $((before + 1)) ]] || fail "more or less was written than differed"

# ---- integrations

title "Create without running"
call create_integration <<'CALL'
curl -si "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data @- <<'END'
{
  "name": "wiz1",
  "type": "wiz",
  "enabled": false,
  "updateinterval": 86400,
  "wiz": {
    "apiendpoint": "https://api.us17.app.wiz.io",
    "tokenurl": "https://auth.app.wiz.io/oauth/token",
    "clientid": "a1b2c3d4",
    "clientsecret": "not the real one"
  }
}
END
CALL
has 'HTTP/1.1 201 '
has '"apiendpoint":"https://api.us17.app.wiz.io/graphql"'
hasnt 'not the real one'
has '"active_run":null'
SECOND=$(text id)

title "List and read"
call list_integrations <<'CALL'
curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY"
CALL
has '"count":2'
call read_integration <<'CALL'
curl -si "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY"
CALL
has 'etag: "1"'
has '"clientsecret_set_at":"'
hasnt '"clientsecret":'

title "Replace and change, each only the version that was read"
call replace_integration <<'CALL'
curl -si -X PUT "$BASE/api/v1/integrations/context/$SECOND" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' -H 'If-Match: "1"' --data @- <<'END'
{
  "name": "wiz2",
  "type": "wiz",
  "enabled": false,
  "updateinterval": 172800,
  "wiz": {
    "apiendpoint": "https://api.us17.app.wiz.io/graphql",
    "tokenurl": "https://auth.app.wiz.io/oauth/token",
    "clientid": "a1b2c3d4"
  }
}
END
CALL
has 'HTTP/1.1 200 '
has 'etag: "2"'
has '"name":"wiz2"'
call update_integration <<'CALL'
curl -si -X PATCH "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/merge-patch+json' -H 'If-Match: "1"' --data '{"enabled": true}'
CALL
has 'HTTP/1.1 200 '
has 'etag: "2"'
has '"enabled":true'
hasnt '"next_run_at":null'
call precondition_failed <<'CALL'
curl -s -X PATCH "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/merge-patch+json' -H 'If-Match: "1"' --data '{"enabled": false}'
CALL
problem 412 precondition_failed

# ---- bad input of each kind

title "Each kind of bad input has its problem"
call invalid_body <<'CALL'
curl -s -X PATCH "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data '{"updateinterval": 3600, "wiz": {"clientsecret": "****"}}'
CALL
problem 400 invalid_body
has '"pointer":"/updateinterval"'
has '"pointer":"/wiz/clientsecret"'
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data '{"name": "wiz3", '
CALL
problem 400 invalid_body
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data '{}'
CALL
problem 400 invalid_body
for member in /name /type /enabled /updateinterval /wiz; do has "\"pointer\":\"$member\""; done
call <<'CALL'
curl -s -X PATCH "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data '{"wiz": {"apiendpoint": "http://169.254.169.254/graphql"}}'
CALL
problem 400 invalid_body
has '"pointer":"/wiz/apiendpoint"'
call <<'CALL'
curl -s "$BASE/api/v1/runs?limit=0" -H "Authorization: Bearer $KEY"
CALL
problem 400 invalid_body
has '"pointer":"?limit"'
call <<'CALL'
curl -s -X PATCH "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data '{"interval": 86400}'
CALL
problem 400 unknown_member
has '"pointer":"/interval"'
call <<'CALL'
curl -s "$BASE/api/v1/runs?sort=id" -H "Authorization: Bearer $KEY"
CALL
problem 400 unknown_member
call <<'CALL'
curl -si "$BASE/api/v1/runs" -H 'Authorization: Bearer wck_wrong'
CALL
problem 401 unauthorized
has 'www-authenticate: Bearer'
call <<'CALL'
curl -s "$BASE/api/v1/runs/$ID" -H "Authorization: Bearer $KEY"
CALL
problem 404 not_found
call <<'CALL'
curl -s "$BASE/api/v1/nothing" -H "Authorization: Bearer $KEY"
CALL
problem 404 not_found
call <<'CALL'
curl -si -X DELETE "$BASE/api/v1/runs" -H "Authorization: Bearer $KEY"
CALL
problem 405 method_not_allowed
has 'allow: GET'
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data @body.json
CALL
problem 409 name_taken
call <<'CALL'
head -c 1100000 /dev/zero | curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data-binary @-
CALL
problem 413 too_large
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context" -H "Authorization: Bearer $KEY" --data @body.json
CALL
problem 415 unsupported_media_type

# ---- cancelling, history, audit

title "Cancel"
OUT=$(curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $KEY")
RUN=$(text id)
call cancel_run <<'CALL'
curl -si -X POST "$BASE/api/v1/runs/$RUN/cancel" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
until_status '"state":"idle"'
has '"state":"cancelled"'
has '"user":"admin"'
has '"pushed":"Nothing had been pushed."'
call run_ended <<'CALL'
curl -s -X POST "$BASE/api/v1/runs/$RUN/cancel" -H "Authorization: Bearer $KEY"
CALL
problem 409 run_ended
same_labels $another_day

title "The history of runs, page by page"
call list_runs <<'CALL'
curl -s "$BASE/api/v1/runs?limit=2" -H "Authorization: Bearer $KEY"
CALL
has '"count":2'
NEXT=$(text next)
call <<'CALL'
curl -s "$BASE/api/v1/runs?limit=2&cursor=$NEXT" -H "Authorization: Bearer $KEY"
CALL
has '"count":2'
hasnt "$RUN"
call list_integration_runs <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/runs" -H "Authorization: Bearer $KEY"
CALL
has '"count":12'

title "The audit log"
call search_audit <<'CALL'
curl -s "$BASE/api/v1/search/audit" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' --data '{
  "start": -3600, "end": 0, "size": 2, "include": ["id", "timestamp", "user", "action", "description"],
  "search": "class == integration && action == run_end"
}'
CALL
has '"count":2'
has '"action":"run_end"'
hasnt '"action":"create"'
hasnt '"new_object"'
call list_audit <<'CALL'
curl -s "$BASE/api/v1/audit?action=update&original_id=$ID" -H "Authorization: Bearer $KEY"
CALL
has '"count":1'
has '"enabled":false'
has '"enabled":true'
RECORD=$(text id)
call read_audit_record <<'CALL'
curl -s "$BASE/api/v1/fetch/audit/$RECORD" -H "Authorization: Bearer $KEY"
CALL
has '"user":"admin"'
call <<'CALL'
curl -s "$BASE/api/v1/search/audit" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    --data '{"start": -3600, "end": 0, "search": "user like admin"}'
CALL
problem 400 invalid_body
has '"pointer":"/search"'

call <<'CALL'
curl -s "$BASE/api/v1/audit?since=-3600&class=integration&limit=1" -H "Authorization: Bearer $KEY"
CALL
has '"next":'
call export_audit <<'CALL'
curl -s "$BASE/api/v1/audit/export?action=create" -H "Authorization: Bearer $KEY"
CALL
has '"previous_hash":"0000000000000000'
call verify_audit <<'CALL'
curl -s "$BASE/api/v1/audit/verify" -H "Authorization: Bearer $KEY"
CALL
has '"valid":true'
HEAD=$(text head)
call audit_verify <<'CALL'
wiz-context audit verify --head "$HEAD"
CALL
has "head $HEAD"
if command -v python3 > /dev/null; then
    OUT=$(curl -s "$BASE/api/v1/audit/export" -H "Authorization: Bearer $KEY" | "$examples/verify-audit.py" "$HEAD") ||
        fail "the export is not the chain"
fi

title "Keys: one for each who calls, with a role and an end"
call create_api_key <<'CALL'
curl -si "$BASE/api/v1/api-keys" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    --data '{"name": "dashboard", "role": "readonly", "expires_at": "2099-01-01T00:00:00Z"}'
CALL
has 'HTTP/1.1 201 '
has '"key":"wck_'
READER=$(text key)
READER_ID=$(text id)
call list_api_keys <<'CALL'
curl -s "$BASE/api/v1/api-keys" -H "Authorization: Bearer $KEY"
CALL
has '"name":"dashboard"'
hasnt "$READER"
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/status" -H "Authorization: Bearer $READER"
CALL
has '"state":"idle"'
call forbidden <<'CALL'
curl -s -X PUT "$BASE/api/v1/integrations/context/$ID/run" -H "Authorization: Bearer $READER"
CALL
problem 403 forbidden
call delete_api_key <<'CALL'
curl -si -X DELETE "$BASE/api/v1/api-keys/$READER_ID" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 204 '
call <<'CALL'
curl -s "$BASE/api/v1/runs" -H "Authorization: Bearer $READER"
CALL
problem 401 unauthorized
call <<'CALL'
curl -s "$BASE/api/v1/audit?class=api_key" -H "Authorization: Bearer $KEY"
CALL
has '"count":2'
hasnt "$READER"

title "A call that is repeated with its key is done once"
call <<'CALL'
curl -si -X POST "$BASE/api/v1/integrations/context/$ID/verify" -H "Authorization: Bearer $KEY" \
    -H 'Idempotency-Key: 6b1d9a52-verify'
CALL
has 'HTTP/1.1 202 '
REPEATED=$(text id)
until_status '"state":"idle"'
call 'verify_labels?again' <<'CALL'
curl -si -X POST "$BASE/api/v1/integrations/context/$ID/verify" -H "Authorization: Bearer $KEY" \
    -H 'Idempotency-Key: 6b1d9a52-verify'
CALL
has 'idempotency-replayed: true'
has "$REPEATED"
call idempotency_mismatch <<'CALL'
curl -s -X POST "$BASE/api/v1/integrations/context/$ID/verify?repair=true" -H "Authorization: Bearer $KEY" \
    -H 'Idempotency-Key: 6b1d9a52-verify'
CALL
problem 422 idempotency_mismatch
call <<'CALL'
curl -si "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY" -H 'If-None-Match: *'
CALL
has 'HTTP/1.1 304 '
call <<'CALL'
curl -si -X OPTIONS "$BASE/api/v1/integrations/context/$ID"
CALL
has 'allow: GET,HEAD,PUT,PATCH,DELETE,OPTIONS'

title "Figures"
call read_metrics <<'CALL'
curl -s "$BASE/metrics" -H "Authorization: Bearer $KEY" | grep -E '^wiz_context_(runs|pairs|report_rows)'
CALL
has 'wiz_context_runs_total{state="failed",kind="incomplete",trigger="manual"} 1'

title "The document, and the pages that show it"
call read_document <<'CALL'
curl -s "$BASE/api/v1/openapi.json" | grep -E '^  "openapi"|^    "(title|version)"|"operationId": "(start|list)_'
CALL
has '"openapi": "3.1.0"'
call read_docs <<'CALL'
curl -sI "$BASE/docs/"
CALL
has 'HTTP/1.1 200 '
has 'content-type: text/html'
OUT=${OUT//$'\r'/}

# ---- the end

title "Delete: the labels stay, and runs and records too"
call delete_integration <<'CALL'
curl -si -X DELETE "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 204 '
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID" -H "Authorization: Bearer $KEY"
CALL
problem 404 not_found
call <<'CALL'
curl -s "$BASE/api/v1/integrations/context/$ID/runs" -H "Authorization: Bearer $KEY"
CALL
has '"count":13'
call <<'CALL'
curl -s "$BASE/api/v1/audit?action=delete" -H "Authorization: Bearer $KEY"
CALL
has "$ID"
same_labels $another_day

title "Labels of an installation that is gone are adopted"
call adopt_labels <<'CALL'
curl -s "$BASE/api/v1/labels/adopt" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    --data '[{"ip": "'"$ADDRESS"'", "context": "cvss_score"}, {"ip": "'"$ADDRESS"'", "context": "vuln_count"}]'
CALL
has '"adopted":2,"known":0'
call <<'CALL'
curl -s "$BASE/api/v1/labels/adopt" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
    --data '[{"ip": "10.0.0", "context": "owner"}]'
CALL
problem 400 invalid_body
has '"pointer":"/0/ip"'
has '"pointer":"/0/context"'

title "Delete with the labels: a run removes them first, and the integration is gone when it has"
OUT=$(curl -s "$BASE/api/v1/integrations/context?run=true" -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' --data @body.json)
ID=$(text id)
until_status '"state":"idle"'
call 'delete_integration?labels=remove' <<'CALL'
curl -si -X DELETE "$BASE/api/v1/integrations/context/$ID?labels=remove" -H "Authorization: Bearer $KEY"
CALL
has 'HTTP/1.1 202 '
has '"trigger":"removal"'
until_status '"name":"not_found"'
same_labels --findings 0

title "What Wiz and Fusion say of it"
call <<'CALL'
curl -s "$WIZ/simulator/state"
CALL
has '"violations":[]'

title "SIGTERM ends the service"
kill "$service"
wait "$service" || fail "the service ended with $?"
service=''
if grep -E ' (WARN|ERROR) ' service.log |
    grep -v -e 'kind="incomplete"' -e 'code="removals_held"' -e 'the key is refused' -e 'code="labels_'; then
    fail "the log has warnings"
fi
if grep -F -e 'not the real one' -e "$KEY" -e "$NETOSECRET" service.log; then fail "the log has a secret"; fi
if "$program" health --listen "${BASE#http://}" 2> /dev/null; then fail "the service still lives"; fi

title "Without the service: another key seals the secrets"
call rotate_keys <<'CALL'
wiz-context rotate-keys --make-key
CALL
has 'to key k2'
call <<'CALL'
wiz-context audit verify --head "$HEAD"
CALL
has "valid: "

title "All as promised, in $SECONDS s"

# What the scripts have in common that rehearse with the program: sourced by them, not run. Before, they set `program` to its
# path; they have a function `fail WHY`, which ends them.
#
# The working folder becomes `place`, a new one. At the end it goes away, and so do the processes whose numbers are in
# `simulator`, `service` and `proxy`.
# shellcheck shell=bash

unset "${!WIZ_CONTEXT_@}" "${!NETOSECRET@}"
place=$(mktemp -d)
cd "$place"
simulator='' service='' proxy=''
leave() {
    for process in $proxy $service $simulator; do
        kill "$process" 2> /dev/null && wait "$process" || true
    done
    rm -rf "$place"
}
trap leave EXIT

# PATTERN FILE: waits until the file tells it.
wait_for() {
    for _ in $(seq 200); do
        if grep -q "$1" "$2" 2> /dev/null; then return; fi
        sleep 0.1
    done
    fail "$2 does not tell: $1"
}

# ARGUMENTS of simulate: starts it, takes the settings for a service that it prints, and keeps the body of an integration in
# body.json. WIZ is where it is.
start_simulator() {
    "$program" simulate "$@" > simulator.out &
    simulator=$!
    wait_for '^# What happened' simulator.out
    eval "$(grep '^export ' simulator.out)"
    WIZ=http://$WIZ_CONTEXT_ALLOW_HOSTS
    sed -n '/^{/,/^}/p' simulator.out > body.json
}

# LOG: prints where the service of that log listens, once it does.
listening() {
    wait_for 'listening address=' "$1"
    sed -n 's/.* listening address=\([^ ]*\) .*/\1/p' "$1"
}

# NAME: the first member of that name in OUT, if it is a text.
text() { sed -n "1,\$s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<< "${OUT//\"$1\":/$'\n'\"$1\":}" | head -n 1; }

# The labels that Fusion holds, one record a line, in the form of `wiz-context labels`.
fusion_holds() {
    curl -s "$WIZ/simulator/labels" | sed 's/},{/}\n{/g; s/^\[//; s/\]$//' |
        sed 's/{"context":\("[^"]*"\),"ip":\("[^"]*"\),/{"ip":\2,"context":\1,/' | LC_ALL=C sort
    echo
}

#!/usr/bin/env bash
# The committed OpenAPI document, by the tools of those who call the API:
#
#   tests/clients/run.sh PROGRAM [lint] [examples] [schemathesis] [python] [typescript]
#
# PROGRAM is the wiz-context to try; it runs with the simulator behind it, at free ports of 127.0.0.1. Without further
# words all five are done: redocly lints the document, its examples are held against its schemas, schemathesis tries the
# service for at most SCHEMATHESIS_SECONDS (150), and a Python and a TypeScript client are made of the document and do Create
# and Run, wait, labels. Needs Python 3.10 with
# venv, Node 20.19 with npm, and their package registries; what it installs goes to target/clients, the clients themselves
# to a folder that is removed.
set -euo pipefail

program=$(realpath "${1:?usage: run.sh PROGRAM [lint] [examples] [schemathesis] [python] [typescript]}")
shift
wanted=" ${*:-lint examples schemathesis python typescript} "
here=$(realpath "$(dirname "$0")")
project=$(realpath "$here/../..")
document=$project/openapi/openapi.json
tools=$project/target/clients
mkdir -p "$tools"

# 69 is EX_UNAVAILABLE: nothing was found wrong, but not everything could be tried.
missing() { echo "tests/clients/run.sh: $1" >&2; exit 69; }
does() { [[ $wanted == *" $1 "* ]]; }

if does lint || does typescript; then
    command -v node > /dev/null && command -v npm > /dev/null || missing "needs Node (20.19 or later) and npm"
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
        missing "Node is $(node --version); 20.19 or later is needed"
    if ! cmp -s "$here/package-lock.json" "$tools/package-lock.json" || [[ ! -d $tools/node_modules ]]; then
        cp "$here/package.json" "$tools/"
        cp "$here/package-lock.json" "$tools/package-lock.json.new"
        (cd "$tools" && mv package-lock.json.new package-lock.json && npm ci --no-audit --no-fund --loglevel=error) || {
            rm -f "$tools/package-lock.json"
            missing "npm could not install what package-lock.json lists"
        }
    fi
fi
if does examples || does schemathesis || does python; then
    python=$(command -v python3) || missing "needs Python 3.10 or later"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || missing "$("$python" --version); 3.10 or later is needed"
    if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
        "$python" -m venv --clear "$tools/venv" || missing "Python has no venv (Debian: python3-venv)"
        "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
            missing "pip could not install what requirements.txt lists"
        cp "$here/requirements.txt" "$tools/"
    fi
    export PATH=$tools/venv/bin:$PATH
fi

fail() { cat ./*.log >&2 || true; echo "tests/clients/run.sh: $1" >&2; exit 1; }
source "$project/docs/examples/stage.sh"

if does lint; then
    "$tools/node_modules/.bin/redocly" lint --config "$project/openapi/redocly.yaml" "$document"
fi

if does examples; then
    openapi-spec-validator "$document"
    # It comes with schemathesis.
    python3 "$here/python/examples.py" "$document"
fi

# Nothing leaves this machine: the proxy that everything but the simulator would go through does not listen.
start() {
    start_simulator --listen 127.0.0.1:0 --report-seconds 1 --findings 300 --assets 20
    HTTPS_PROXY=http://127.0.0.1:9 "$program" serve --listen 127.0.0.1:0 --wiz-requests-per-second 10 \
        --api-requests-per-second off 2> service.log &
    service=$!
    BASE=http://$(listening service.log)
    KEY=$(cat admin-key)
}

if does schemathesis || does python || does typescript; then
    start
fi

if does python; then
    openapi-python-client generate --path "$document" --config "$here/python/generator.yaml" --meta none \
        --fail-on-warning --output-path "$place/wiz_context_client"
    PYTHONPATH=$place python3 "$here/python/create_and_run.py" "$BASE" "$KEY" "$place/body.json"
fi

if does typescript; then
    mkdir typescript
    cp "$here"/typescript/*.ts "$here/typescript/tsconfig.json" typescript/
    echo '{"type": "module"}' > typescript/package.json
    ln -s "$tools/node_modules" typescript/node_modules
    (cd typescript && node_modules/.bin/openapi-typescript "$document" -o schema.d.ts && node_modules/.bin/tsc)
    node typescript/built/create_and_run.js "$BASE" "$KEY" "$place/body.json"
fi

if does schemathesis; then
    curl -sf -o /dev/null -X POST "$BASE/api/v1/integrations/context?run=true" -H "Authorization: Bearer $KEY" \
        -H 'Content-Type: application/json' --data @body.json
    # All checks are on unless schemathesis.toml says otherwise; `--checks all` would go before what that says of single calls.
    # It minds its time between calls only, and was once seen to wait for ever within itself: it may try twice.
    most=${SCHEMATHESIS_SECONDS:-150}
    for try in first last; do
        status=0
        timeout "$((most + 60))" schemathesis --config-file "$here/schemathesis.toml" run "$document" --url "$BASE" \
            -H "Authorization: Bearer $KEY" --max-examples 10 --max-time "$most" --no-color || status=$?
        [[ $status == 124 ]] || break
        echo "tests/clients/run.sh: the $try try of schemathesis did not come to its end" >&2
    done
    [[ $status == 0 ]] || exit "$status"
    if grep -q ' ERROR ' service.log; then
        grep ' ERROR ' service.log
        exit 1
    fi
fi

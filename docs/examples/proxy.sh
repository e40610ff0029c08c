#!/usr/bin/env bash
# Tries docs/examples/nginx.conf: nginx in front of the service and the simulator, all on 127.0.0.1 and as this user, with a
# certificate that is made for it. Needs nginx, openssl and curl.
#
#   docs/examples/proxy.sh PROGRAM
set -euo pipefail

program=$(realpath "${1:?usage: proxy.sh PROGRAM}")
config=$(realpath "$(dirname "$0")/nginx.conf")
for tool in nginx openssl curl; do
    command -v "$tool" > /dev/null || { echo "proxy.sh needs $tool" >&2; exit 2; }
done
source "$(dirname "$config")/stage.sh"
fail() { echo "NOT AS PROMISED: $1" >&2; cat service.log nginx.log >&2; exit 1; }
start_simulator --listen 127.0.0.1:0 --report-seconds 2 --findings 200 --assets 10
"$program" serve --listen 127.0.0.1:0 2> service.log &
service=$!
address=$(listening service.log)
key=$(cat admin-key)

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=wiz-context.example.com \
    -addext subjectAltName=DNS:wiz-context.example.com -keyout key.pem -out cert.pem 2> /dev/null
port=${PROXY_PORT:-$((20000 + RANDOM % 10000))}
sed -e "s/listen 443 ssl/listen 127.0.0.1:$port ssl/" -e "s|http://127.0.0.1:8080|http://$address|" \
    -e "s|/etc/ssl/wiz-context.pem|$place/cert.pem|" -e "s|/etc/ssl/wiz-context.key|$place/key.pem|" "$config" > site.conf
cat > nginx.conf <<END
daemon off; pid $place/nginx.pid; error_log $place/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $place/body; proxy_temp_path $place/proxy; fastcgi_temp_path $place/fastcgi;
    uwsgi_temp_path $place/uwsgi; scgi_temp_path $place/scgi;
    include $place/site.conf;
}
END
touch nginx.log
nginx -t -q -e "$place/nginx.log" -c "$place/nginx.conf"
nginx -e "$place/nginx.log" -c "$place/nginx.conf" &
proxy=$!
name=wiz-context.example.com
ask() { curl -sS --cacert cert.pem --resolve "$name:$port:127.0.0.1" -H "Authorization: Bearer $key" "$@"; }
base=https://$name:$port
for _ in $(seq 50); do ask -o /dev/null "$base/healthz" 2> /dev/null && break; sleep 0.1; done

[[ $(ask "$base/healthz") == *'"status":"ok"'* ]] || fail "no health through the proxy"
head=$(ask -D - -o answer -X POST "$base/api/v1/integrations/context?run=true" -H 'Content-Type: application/json' \
    --data @body.json)
[[ $head == *' 201'* ]] || fail "Create and Run gave $head"
[[ ${head,,} == *strict-transport-security* ]] || fail "no HSTS"
run=$(sed -n 's/.*"run":{"id":"\([^"]*\)".*/\1/p' answer)
ask -N -m 60 "$base/api/v1/runs/$run/events" > events
grep -q '^event: phase' events && grep -q '^event: finished' events || fail "the events did not come"
id=$(sed -n 's/.*"data":\[{"id":"\([^"]*\)".*/\1/p' answer)
[[ $(ask "$base/api/v1/integrations/context/$id/labels?limit=1") == *'"labels":['* ]] || fail "no labels"
head -c 1100000 /dev/zero > large
[[ $(ask -o /dev/null -w '%{http_code}' "$base/api/v1/labels/adopt" -H 'Content-Type: application/json' \
    --data-binary @large) == 413 ]] || fail "a large body was taken"
[[ $(ask -o /dev/null -w '%{http_code}' "$base/metrics") == 404 ]] || fail "the figures are public"
[[ $(curl -s -o /dev/null -w '%{http_code}' --cacert cert.pem --resolve "$name:$port:127.0.0.1" \
    "$base/api/v1/runs") == 401 ]] || fail "no key was needed"
echo "as promised: TLS, Create and Run, events as they come, labels, 413, no figures, 401, through $(nginx -v 2>&1)"

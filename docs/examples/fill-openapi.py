#!/usr/bin/env python3
"""Writes openapi/examples.json, the examples of the OpenAPI document, from what docs/examples/tour.sh kept of a run.

    docs/examples/tour.sh target/release/wiz-context /tmp/kept
    docs/examples/fill-openapi.py /tmp/kept

The document takes them in when it is made (`wiz-context openapi`). Long lists are cut to two items, and the simulator's
addresses become those of Wiz; else the values stay as they came.
"""

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent.parent / "openapi" / "examples.json"

# Bodies that the tour sends by a file or with variables of the shell.
REQUESTS = {"adopt_labels": [{"ip": "10.1.2.3", "context": "cve"}, {"ip": "10.1.2.3", "context": "vuln_count"}]}


def shortened(value):
    if isinstance(value, list):
        return [shortened(item) for item in value[:2]]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, str):
        value = re.sub(r"^http://127\.0\.0\.1:\d+/graphql$", "https://api.us17.app.wiz.io/graphql", value)
        return re.sub(r"^http://127\.0\.0\.1:\d+/oauth/token$", "https://auth.app.wiz.io/oauth/token", value)
    return value


def request_of(call):
    heredoc = re.search(r"<<'END'\n(.*?)\nEND", call, re.S)
    quoted = re.search(r"--data '(.*?)'", call, re.S)
    text = heredoc or quoted
    try:
        return json.loads(text[1]) if text else None
    except ValueError:
        return None


def main():
    operations = {}
    for file in sorted(Path(sys.argv[1]).iterdir()):
        operation = re.split(r"[ ?]", file.name)[0]
        call, _, answer = file.read_text().partition("\n----\n")
        body = answer[answer.find('{"meta"'):] if '{"meta"' in answer else ""
        try:
            body = json.loads(body)
        except ValueError:
            continue
        entry = operations.setdefault(operation, {})
        request = REQUESTS.get(operation) or request_of(call)
        if request is not None:
            entry.setdefault("request", request)
        code = str(body["meta"]["code"])
        entry.setdefault("responses", {}).setdefault(code, shortened(body))
    TARGET.write_text(json.dumps(operations, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


main()

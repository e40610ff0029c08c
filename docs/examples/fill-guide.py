#!/usr/bin/env python3
"""Fills the examples of docs/api-guide.md with what docs/examples/tour.sh kept of a run.

    SIMULATOR=127.0.0.1:9000 SERVICE=127.0.0.1:8080 docs/examples/tour.sh target/release/wiz-context /tmp/kept
    docs/examples/fill-guide.py /tmp/kept

Values stay as they came. Line breaks are put in for reading, and `…` stands for what is left out: the further items of
long lists, and of runs, statuses and integrations what another example shows.
"""

import json
import re
import sys
from pathlib import Path

WIDTH = 112
GUIDE = Path(__file__).parent.parent / "api-guide.md"
MORE = "…"

# What the examples show that are about the object itself.
WHOLE_RUN, WHOLE_STATUS, EVENTS, LINES = "read_run", "read_status", "follow_run", "export_audit"
RUN = ["id", "integration", "state", "phase", "trigger", "dry_run"]
STATUS = ["state", "pairs", "label_age_s", "fusion"]
COUNTS = ["added", "changed", "removed", "unchanged", "held"]


def only(members, names):
    """The members of these names, and a sign when there are more."""
    kept = {name: value for name, value in members.items() if name in names}
    return kept if len(kept) == len(members) else kept | {MORE: MORE}


def is_run(value):
    return "queued_at" in value and "certificate" in value


def shortened(value, example, inner=False):
    """A value without what another example shows; `inner` is what lies within a status or run."""
    if isinstance(value, list):
        texts = all(isinstance(item, str) for item in value)
        steps = value and not texts and {"name", "state", "message"} == set(value[0])
        records = value and not texts and "context" in value[0] and "held_by" not in value[0]
        most = len(value) if steps else 3 if texts else 4 if records else 2
        items = [shortened(item, example, inner) for item in value[:most]]
        return items + [MORE] if len(value) > most else items
    if not isinstance(value, dict):
        return value
    if is_run(value):
        if example != WHOLE_RUN:
            names = RUN[:1] + RUN[2:4] if inner else list(RUN)
            names += [name for name in ("failure", "cancellation") if value[name] and not inner]
            if value["state"] in ("succeeded", "held") and not inner:
                names.append("counts")
            if value["state"] == "held" and not inner:
                names.append("warnings")
            if value["state"] == "running" and example == WHOLE_STATUS:
                names.append("progress")
            if example == EVENTS:
                names = ["state", "phase", "progress"]
                value = value | {"progress": only(value["progress"], ["rows", "rows_total", "percent"])}
            value = only(value, names)
            if "counts" in value:
                value["counts"] = only(value["counts"], COUNTS)
    elif example == "list_audit" and "clientid" in value.get("wiz", {}):
        value = only(value, ["name", "enabled", "lastupdated"])
    elif "next_run_at" in value and example != WHOLE_STATUS:
        value = only(value, STATUS + [name for name in ("active_run", "next_run_at") if value[name]])
        inner = True
    return {name: shortened(item, example, inner) for name, item in value.items()}


def written(value, indent=0, before=0):
    """JSON as one line where it fits, else a line an item."""
    if value == MORE:
        return MORE
    if isinstance(value, dict):
        inside = [MORE if name == MORE else (name, item) for name, item in value.items()]
        opening, closing = "{}"
    elif isinstance(value, list):
        inside, (opening, closing) = value, "[]"
    else:
        return json.dumps(value, ensure_ascii=False)

    def item(entry, depth):
        if isinstance(entry, tuple):
            name = f"{json.dumps(entry[0])}: "
            return name + written(entry[1], depth, len(name))
        return written(entry, depth)

    line = opening + ", ".join(item(entry, 10_000) for entry in inside) + closing
    if indent == 10_000 or indent + before + len(line) <= WIDTH or not inside:
        return line
    inner = " " * (indent + 2)
    lines = (",\n" + inner).join(item(entry, indent + 2) for entry in inside)
    return f"{opening}\n{inner}{lines}\n{' ' * indent}{closing}"


def events(output):
    """Events with short data: the first, and as many of the last."""
    told = output.strip().split("\n\n")
    most = 3
    if len(told) > 2 * most:
        told[most:-most] = [MORE]

    def line(text):
        name, _, data = text.partition(": ")
        return f"data: {written(shortened(json.loads(data), EVENTS), 10_000)}" if name == "data" else text

    return "\n\n".join("\n".join(map(line, event.split("\n"))) for event in told)


def lines(output):
    """Records a line each: the first ones, with what of them is of the chain."""
    names = ["action", "user", "previous_hash", "hash"]
    told = [only(json.loads(line), names) for line in output.strip().split("\n")]
    return "\n".join(written(record, 10_000) for record in told[:3])


def block(example, kept):
    """The call of an example and what it printed."""
    call, output = kept.split("\n----\n", 1)
    head, _, body = output.rstrip("\n").rpartition("\n\n") if output.startswith("HTTP/") else ("", "", output)
    if output.startswith("HTTP/") and not body.startswith("{"):
        head, body = output.strip(), ""
    if example == EVENTS:
        body = events(body)
    elif example == LINES:
        body = lines(body)
    elif body.startswith("{") and "\n{" not in body:
        body = written(shortened(json.loads(body), example))
    answer = "\n\n".join(part.strip() for part in (head, body) if part.strip())
    told = "\n".join(part for part in (f"$ {call}", answer) if part)
    return f"```console\n{told}\n```"


def main():
    kept = Path(sys.argv[1])
    missing = []

    def fill(found):
        example = found.group(1)
        file = kept / example
        if not file.exists():
            missing.append(example)
            return found.group(0)
        return f"<!-- example:{example} -->\n{block(example, file.read_text())}\n<!-- /example -->"

    guide = GUIDE.read_text()
    GUIDE.write_text(re.sub(r"<!-- example:(.+?) -->\n.*?<!-- /example -->", fill, guide, flags=re.DOTALL))
    if missing:
        sys.exit(f"the tour kept nothing of: {', '.join(missing)}")


main()

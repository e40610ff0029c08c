#!/usr/bin/env python3
"""Fills the examples of docs/api-guide.md with what docs/examples/tour.sh kept of a run.

    SIMULATOR=127.0.0.1:9000 SERVICE=127.0.0.1:8080 docs/examples/tour.sh target/release/wiz-context /tmp/kept
    docs/examples/fill-guide.py /tmp/kept
    docs/examples/fill-guide.py --check /tmp/kept

With `--check` nothing is written: it fails when the guide tells another call than the tour made, or an answer of another
shape than the tour got. The shape is the status, the names of headers, and the members and types of JSON; ids, times,
figures and how many there are of something may differ.

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


def merged(one, other):
    """What two shapes have in common; null and nothing fit to all."""
    if one in (None, other):
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: merged(one.get(name), other.get(name)) for name in one.keys() | other.keys()}
    return one if other is None else f"{one} or {other}"


def shape(value):
    """Members and types. Items of a list have one shape together."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        items = None
        for item in value:
            items = merged(items, shape(item))
        return {"[]": items}
    return None if value is None else {bool: "truth", str: "text"}.get(type(value), "number")


def unlike(one, other, place=""):
    """Where two shapes differ."""
    if None in (one, other) or one == other:
        return []
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [f"{place or 'the whole'} is {one} in the guide and {other} now"]
    names = sorted(one.keys() ^ other.keys())
    told = [f"{place}/{name} is {'not in the guide' if name in other else 'only in the guide'}" for name in names]
    for name in sorted(one.keys() & other.keys()):
        told += unlike(one[name], other[name], f"{place}/{name}")
    return told


def parts(example, output):
    """The headers of an output, and the shape of its body; lines that are no JSON stand without their figures."""
    head, body = "", output
    if output.startswith("HTTP/"):
        head, _, body = output.partition("\n\n")
    headers = {line.split(":")[0]: "line" for line in head.splitlines()}
    if example == EVENTS:
        body = "[" + ",".join(line[6:] for line in body.splitlines() if line.startswith("data: ")) + "]"
    elif example == LINES:
        body = "[" + ",".join(body.splitlines()) + "]"
    try:
        # Without the signs of what is left out.
        return headers, shape(json.loads(re.sub(r",?\s*…", "", body)))
    except ValueError:
        figures = r"(?<=cursor=)\S+|[0-9a-f-]*[0-9][0-9a-f-]*"
        return headers, {re.sub(figures, "0", line): "line" for line in body.splitlines()}


def check(kept):
    """Tells what of the guide is not as the tour had it."""
    told = []
    guide = GUIDE.read_text()
    for example, text in re.findall(r"<!-- example:(.+?) -->\n(.*?)\n<!-- /example -->", guide, re.DOTALL):
        file = kept / example
        if not file.exists():
            told.append(f"{example}: the tour kept nothing of it")
            continue
        kept_text = file.read_text()
        call = "```console\n$ " + kept_text.split("\n----\n", 1)[0] + "\n"
        if not text.startswith(call):
            told.append(f"{example}: the tour makes another call")
            continue
        outputs = (whole.removeprefix(call).removesuffix("```").strip("\n") for whole in (text, block(example, kept_text)))
        for there, now in zip(*(parts(example, output) for output in outputs)):
            told += [f"{example}: {line}" for line in unlike(there, now)]
    if told:
        sys.exit("docs/api-guide.md is not what the service answers; fill it anew:\n" + "\n".join(told))


def main():
    if sys.argv[1] == "--check":
        return check(Path(sys.argv[2]))
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

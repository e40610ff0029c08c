"""Every example of the OpenAPI document fits the schema beside it: examples.py DOCUMENT."""

import json
import sys

import jsonschema_rs

document = json.load(open(sys.argv[1], encoding="utf-8"))
wrong, fitting = [], 0


def check(place, schema, example):
    """Looks whether an example fits; references are found as in the whole document."""
    global fitting
    whole = {**schema, "components": document["components"]}
    faults = list(jsonschema_rs.Draft202012Validator(whole).iter_errors(example))
    wrong.extend(f"{place}: {fault.message}" for fault in faults)
    fitting += not faults


def walk(node, place=""):
    if isinstance(node, list):
        for at, item in enumerate(node):
            walk(item, f"{place}/{at}")
    elif isinstance(node, dict):
        # A body beside its schema, or a schema with an example of its own. A stream has no schema.
        if "example" in node:
            is_body = place.split("/")[-2:-1] == ["content"]
            check(place, node.get("schema", {}) if is_body else schema_of(node), node["example"])
        for name, item in node.items():
            if name != "example":
                walk(item, f"{place}/{name.replace('/', '~1')}")


def schema_of(node):
    return {name: value for name, value in node.items() if name != "example"}


walk(document)
print(f"{fitting} examples fit their schemas")
if wrong:
    sys.exit("\n".join(wrong))
if fitting < 100:
    sys.exit("these are fewer than the document has")

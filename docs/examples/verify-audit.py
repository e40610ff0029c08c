#!/usr/bin/env python3
"""Checks an export of the audit log: curl … /api/v1/audit/export | verify-audit.py [HEAD]"""

import hashlib
import json
import sys

previous = None
for number, line in enumerate(sys.stdin, 1):
    record = json.loads(line)
    told = record.pop("hash")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if previous not in (None, record["previous_hash"]) or hashlib.sha256(text.encode()).hexdigest() != told:
        sys.exit(f"line {number}: the record {record['id']} is not as it was written, or one is missing before it")
    previous = told
if len(sys.argv) > 1 and sys.argv[1] != previous:
    sys.exit(f"the log ends with {previous}, not with {sys.argv[1]}")
print(f"valid, head {previous}")

#!/usr/bin/env python3
"""How long the service takes to be ready, what it holds at rest, and how large the program is.

    benches/startup.py [target/release/wiz-context]

Starts it in a temporary folder, ten times on a new database and ten times on the same one again, and asks `/readyz` until
that answers 200. Prints medians and the worst. Needs Linux, and nothing but Python.
"""

import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "target/release/wiz-context")
ROUNDS = 10
PATIENCE_S = 30
REST_S = 3


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory_mib(pid, what):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


def start(folder):
    """Milliseconds until it is ready, MiB that it then holds at rest, and milliseconds until it ended."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "WIZ_CONTEXT_DATABASE_URL": f"sqlite://{folder}/test.db"}
    begun = time.perf_counter()
    service = subprocess.Popen(
        [PROGRAM, "serve", "--listen", f"127.0.0.1:{port}"], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    while not is_ready(port):
        if service.poll() is not None or time.perf_counter() - begun > PATIENCE_S:
            sys.exit("it does not become ready")
        time.sleep(0.0005)
    ready = time.perf_counter() - begun
    time.sleep(REST_S)
    resident = memory_mib(service.pid, "VmRSS:")
    begun = time.perf_counter()
    service.send_signal(signal.SIGTERM)
    service.wait(PATIENCE_S)
    return ready * 1e3, resident, (time.perf_counter() - begun) * 1e3


def row(what, values):
    print(f"| {what} | {statistics.median(values):.1f} | {max(values):.1f} |")


print("| | median | most |\n|---|---|---|")
with tempfile.TemporaryDirectory() as again:
    rounds = {"first start": [], "start again": []}
    start(again)
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as new:
            rounds["first start"].append(start(new))
        rounds["start again"].append(start(again))
for kind, measured in rounds.items():
    ready, resident, end = zip(*measured)
    row(f"{kind}, ms to `/readyz`", ready)
    row(f"{kind}, MiB resident at rest", resident)
    row(f"{kind}, ms from SIGTERM to the end", end)
print(f"\nThe program: {os.path.getsize(PROGRAM) / 1e6:.1f} MB")

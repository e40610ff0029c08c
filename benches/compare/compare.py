#!/usr/bin/env python3
"""Makes a report, turns it into labels with wiz-context and with four other tools, and prints what each of them took.

    benches/compare/compare.py              1 million rows, 20,000 assets, 49 columns; plain and gzip; five rounds
    benches/compare/compare.py --large      wiz-context alone: 10 million rows on 20,000 and on 200,000 assets
    benches/compare/compare.py --rows 20000 --assets 500 --rounds 1     a look at whether all still agree

Every tool does all of docs/label-rules.md that concerns one report, and writes the same lines; the run fails when one of
them writes another. Tools run in turn, round by round, and never side by side. Wall time, CPU time and peak memory are
those of the child (`wait4`). What other processes took of the machine meanwhile is measured too: of each tool the
quietest rounds count, and the table says how quiet they were.

Needs Python 3.11 and cargo. Makes a virtual environment in `target/compare` and fills it from PyPI; the reports lie in a
temporary folder and are removed.
"""

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TOOLS = {"csv": "Python's csv", "pandas": "pandas", "duckdb": "DuckDB", "polars": "Polars"}
INSTALL_SECONDS = 300
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def environment():
    """A Python that has the tools; `None` when they cannot be installed in time."""
    folder = TARGET / "compare" / "venv"
    python, mark = folder / "bin" / "python", folder / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if mark.exists() and mark.read_text() == wanted:
        return python
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", HERE / "requirements.txt"]
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=INSTALL_SECONDS)
        subprocess.run(pip, check=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as problem:
        print(f"the tools of PyPI cannot be installed, only the csv module is compared: {problem}")
        return None
    mark.write_text(wanted)
    return python


def build(as_built):
    """The program, and the one that only reads."""
    program, read_alone = TARGET / "release" / "wiz-context", TARGET / "compare" / "release" / "read_alone"
    if as_built:
        return program, read_alone
    cargo = ["cargo", "build", "--locked", "--release"]
    subprocess.run([*cargo, "--bin", "wiz-context"], cwd=ROOT, check=True)
    alone = ["--manifest-path", HERE / "read_alone" / "Cargo.toml", "--target-dir", TARGET / "compare"]
    subprocess.run([*cargo, *alone], check=True)
    return program, read_alone


def busy_s():
    """CPU seconds that all processes of the machine took so far, and those that a host took away."""
    _, user, nice, system, _, _, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / TICKS_PER_S


def run(command, out):
    """Runs a command to its end: wall and CPU seconds, peak MiB, and the cores that others were busy on meanwhile.

    Linux counts what this process holds when it starts a child as the child's, so nothing large is ever held here.
    """
    with open(out, "wb") as file:
        busy, begun = busy_s(), time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.PIPE)
        told = child.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(child.pid, 0)
        wall, busy = time.perf_counter() - begun, busy_s() - busy
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{told}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall": wall, "cpu": cpu, "mib": usage.ru_maxrss / 1024, "others": max(0.0, busy - cpu) / wall}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def report(program, path, rows, assets, gzip):
    command = [program, "simulate", "--findings", rows, "--assets", assets, "--header", "full49", "--write-report", path]
    subprocess.run(list(map(str, command + ["--gzip"] * gzip)), check=True, stdout=subprocess.DEVNULL)
    # Into the system's cache, so that no tool pays for the disk.
    with open(path, "rb") as file:
        while file.read(1 << 18):
            pass


def quietest(rounds):
    """The medians over the quieter half of the rounds."""
    rounds = sorted(rounds, key=lambda one: one["others"])
    rounds = rounds[: max(1, (len(rounds) + 1) // 2)]
    return {what: statistics.median(one[what] for one in rounds) for what in rounds[0]}


def table(title, results):
    print(f"\n### {title}\n\n| | wall s | CPU s | peak MiB | wall, wiz-context = 1 | cores busy with others |\n|---|---|---|---|---|---|")
    ours = results["wiz-context"]["wall"]
    for name, took in results.items():
        print(f"| {name} | {took['wall']:.2f} | {took['cpu']:.2f} | {took['mib']:.0f} | {took['wall'] / ours:.2f} | {took['others']:.2f} |")


def compare(arguments, program, read_alone, python, folder):
    tools = [tool for tool in arguments.tools.split(",") if python or tool == "csv"]
    summary = {}
    for kind in ("plain", "gzip"):
        path = folder / ("report.csv.gz" if kind == "gzip" else "report.csv")
        report(program, path, arguments.rows, arguments.assets, kind == "gzip")
        alone = "inflating alone" if kind == "gzip" else "reading alone"
        commands = {alone: [read_alone, path], "wiz-context": [program, "labels", path]}
        commands |= {TOOLS[tool]: [python or sys.executable, HERE / f"with_{tool}.py", path] for tool in tools}
        rounds = {name: [] for name in commands}
        for number in range(arguments.rounds):
            for name, command in commands.items():
                if number >= arguments.slow_rounds and name in (TOOLS["csv"], TOOLS["pandas"]):
                    continue
                out = folder / "labels"
                rounds[name].append(run(command, out))
                if name != alone:
                    labels = digest(out)
                    if summary.setdefault("labels", labels) != labels:
                        sys.exit(f"{name} writes other labels than wiz-context ({kind})")
                    if "lines" not in summary:
                        with open(out, "rb") as file:
                            summary["lines"] = sum(1 for _ in file)
        summary[kind] = {name: quietest(took) for name, took in rounds.items()}
        size = path.stat().st_size / 1e6
        table(f"{kind}: {arguments.rows:,} rows, {arguments.assets:,} assets, {size:,.0f} MB", summary[kind])
        path.unlink()
    print(f"\nAll wrote the same {summary['lines']:,} lines, plain and gzip ({', '.join(['wiz-context', *map(TOOLS.get, tools)])}).")
    if "polars" in tools:
        goals(summary)
    return summary


def goals(summary):
    wall = {kind: {name: took["wall"] for name, took in summary[kind].items()} for kind in ("plain", "gzip")}
    plain, gzip = wall["plain"], wall["gzip"]
    print("\n| goal | measured |\n|---|---|")
    print(f"| plain ≤ 0.5 × Polars | {plain['wiz-context'] / plain['Polars']:.2f} |")
    print(f"| gzip ≤ 0.6 × Polars | {gzip['wiz-context'] / gzip['Polars']:.2f} |")
    print(f"| gzip ≤ 1.4 × inflating alone | {gzip['wiz-context'] / gzip['inflating alone']:.2f} |")


def large(arguments, program, folder):
    """How time and memory grow with rows and with assets."""
    print("\n| rows | assets | | MB | wall s | CPU s | peak MiB | cores busy with others |\n|---|---|---|---|---|---|---|---|")
    for rows, assets in ((1_000_000, 20_000), (10_000_000, 20_000), (10_000_000, 200_000)):
        for kind in ("plain", "gzip"):
            path = folder / "report"
            report(program, path, rows, assets, kind == "gzip")
            took = quietest([run([program, "labels", path], folder / "labels") for _ in range(arguments.rounds)])
            print(
                f"| {rows:,} | {assets:,} | {kind} | {path.stat().st_size / 1e6:,.0f} | {took['wall']:.2f} | {took['cpu']:.2f} "
                f"| {took['mib']:.1f} | {took['others']:.2f} |",
                flush=True,
            )
            path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--assets", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=2, help="of the csv module and pandas, which take long")
    parser.add_argument("--tools", default=",".join(TOOLS), help="which to compare with (default: %(default)s)")
    parser.add_argument("--require-tools", action="store_true", help="fail when they cannot be installed")
    parser.add_argument("--large", action="store_true", help="wiz-context alone, ten times as large")
    parser.add_argument("--as-built", action="store_true", help="take both programs as they were built before")
    parser.add_argument("--folder", help="where the temporary folder is made (takes 12 GB when large)")
    parser.add_argument("--json", help="a file for the figures")
    arguments = parser.parse_args()
    program, read_alone = build(arguments.as_built)
    with tempfile.TemporaryDirectory(prefix="wiz-context-compare-", dir=arguments.folder) as folder:
        if arguments.large:
            return large(arguments, program, Path(folder))
        python = environment()
        if arguments.require_tools and python is None:
            sys.exit(69)
        summary = compare(arguments, program, read_alone, python, Path(folder))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(summary, indent=1))


with contextlib.suppress(KeyboardInterrupt):
    main()

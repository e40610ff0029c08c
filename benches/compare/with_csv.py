"""The label rules with Python's csv module: row by row, as one would write it by hand.

Usage: with_csv.py REPORT > LABELS
"""

import csv
import gzip
import heapq
import sys
from collections import defaultdict
from operator import itemgetter

import rules


class Asset:
    __slots__ = ("findings", "score", "rating", "addresses", "cves")

    def __init__(self):
        self.findings, self.score, self.rating = 0, -1, 0
        self.addresses, self.cves = set(), {}


def read(path):
    """The assets of a report."""
    is_gzip = open(path, "rb").read(2) == b"\x1f\x8b"
    csv.field_size_limit(1 << 20)
    assets = defaultdict(Asset)
    with (gzip.open if is_gzip else open)(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows)]
        cells = itemgetter(*(header.index(name) for name in rules.COLUMNS))
        tenths, rating_of, counts, is_true = rules.tenths, rules.rating, rules.counts, rules.is_true
        for row in rows:
            if not row:
                continue
            (name, status, cvss, own, severity, by_vendor, by_nvd, nvd, vendor, exploit, kev, asset, provider, ips) = cells(row)
            if not counts(status):
                continue
            score = tenths(own)
            if score < 0:
                score = tenths(nvd)
                if score < 0:
                    score = tenths(vendor)
            rating = (
                rating_of(cvss)
                or rules.rating_of_score(score)
                or rating_of(severity)
                or rating_of(by_vendor)
                or rating_of(by_nvd)
            )
            addresses = rules.addresses(ips)
            if key := asset.strip():
                key = "a" + key
            elif key := provider.strip():
                key = "p" + key
            else:
                key = addresses
            facts = assets[key]
            facts.findings += 1
            if score > facts.score:
                facts.score = score
            if rating > facts.rating:
                facts.rating = rating
            facts.addresses.update(addresses)
            if rating >= 3:
                rank = None
                for year, number in rules.CVE.findall(name):
                    if rank is None:
                        rank = (is_true(kev), is_true(exploit), score, rating)
                    cve = (int(year), int(number), number)
                    if (known := facts.cves.get(cve)) is None or rank > known:
                        facts.cves[cve] = rank
    return assets


def best(cves, limit):
    """The best of CVE → rank."""
    if len(cves) <= limit:
        return cves
    return dict(heapq.nlargest(limit, cves.items(), key=lambda cve: (cve[1], cve[0][:2], len(cve[0][2]))))


def main(path):
    carried = defaultdict(list)
    for facts in read(path).values():
        facts.cves = best(facts.cves, rules.MAX_CVES_PER_ASSET)
        for address in facts.addresses:
            carried[address].append(facts)
    for address in sorted(carried):
        facts, *others = carried[address]
        findings, score, rating, cves = facts.findings, facts.score, facts.rating, facts.cves
        if others:
            cves = dict(cves)
            for facts in others:
                findings += facts.findings
                score, rating = max(score, facts.score), max(rating, facts.rating)
                for cve, rank in facts.cves.items():
                    if cve not in cves or rank > cves[cve]:
                        cves[cve] = rank
            cves = best(cves, rules.MAX_CVES_PER_ADDRESS)
        labels = sorted(cves, key=lambda cve: (cve[0], cve[1], len(cve[2])))
        labels = [f"CVE-{year:04}-{digits}" for year, _, digits in labels]
        rules.write(sys.stdout, rules.address_text(*address), findings, score, rating, '","'.join(labels))


main(sys.argv[1])

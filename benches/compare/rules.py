"""The label rules that the competitors share: what is done once for each distinct cell, or once for each address.

Nothing here runs once a row but in `with_csv.py`. All is written from docs/label-rules.md, not from the program.
"""

import ipaddress
import re
from functools import cache

COLUMNS = (
    "Name FindingStatus CVSSSeverity Score Severity VendorSeverity NvdSeverity NVDScore VendorScore HasExploit "
    "HasCisaKevExploit AssetID ProviderUniqueId IpAddresses"
).split()
MAX_CVES_PER_ASSET = 100
MAX_CVES_PER_ADDRESS = 10_000
RATINGS = ("", "low", "medium", "high", "critical")

# Ids that stand as whole words; `re` and the regular expressions of Rust agree on `\b`.
CVE = re.compile(r"\bcve-([0-9]{4})-([0-9]{4,19})\b", re.IGNORECASE)
NUMBER = re.compile(r"0*([0-9]{1,2})(?:[.,]([0-9])([0-9])?[0-9]*)?")
NOT_ZERO_BEHIND_TEN = re.compile(r"0*10[.,]0*[1-9]")
BETWEEN_ADDRESSES = re.compile(r"[,;|\s]+")


@cache
def counts(status):
    """Rule 1."""
    return re.sub(r"[\s_]", "", status).lower() in ("", "open", "inprogress")


@cache
def tenths(cell):
    """Rule 2: the score of one cell in tenths, or -1 when it does not read."""
    cell = cell.strip()
    found = NUMBER.fullmatch(cell)
    if not found or NOT_ZERO_BEHIND_TEN.match(cell):
        return -1
    whole, first, second = found.groups()
    value = int(whole) * 10 + int(first or 0) + (int(second or 0) >= 5)
    return value if int(whole) <= 10 else -1


@cache
def rating(cell):
    """Rule 3: 1 (low) to 4 (critical) of one cell, or 0 when it says nothing."""
    cell = cell.strip().lower()
    return RATINGS.index(cell) if cell in RATINGS else 0


def rating_of_score(score):
    """Rule 3: the rating of a score in tenths; 0 for none and for 0.0."""
    return 0 if score <= 0 else 1 if score < 40 else 2 if score < 70 else 3 if score < 90 else 4


@cache
def is_true(cell):
    """Rule 4."""
    return cell.strip().lower() == "true"


@cache
def addresses(cell):
    """Rule 5: the usable addresses of one cell as (version, number), sorted, each once."""
    parts = (part.strip("[]\"'") for part in BETWEEN_ADDRESSES.split(cell))
    return tuple(sorted({found for part in parts if part and (found := address(part))}))


def address(text):
    """Rule 5: one address, or None when it carries no label."""
    text, slash, prefix = text.partition("/")
    text, percent, zone = text.partition("%")
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    if slash and prefix != str(ip.max_prefixlen) or percent and (ip.version == 4 or not zone):
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified or ip.is_link_local or ip.is_multicast:
        return None
    return ip.version, int(ip)


def address_text(version, number):
    """An address in its one form."""
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


def write(out, ip, findings, score, rating, cves):
    """Rule 7: the records of one address; `cves` are sorted and joined by `","`."""
    if cves:
        out.write(f'{{"ip":"{ip}","context":"cve","labels":["{cves}"]}}\n')
    if rating:
        out.write(f'{{"ip":"{ip}","context":"cvss_rating","labels":["{RATINGS[rating]}"]}}\n')
    if score >= 0:
        out.write(f'{{"ip":"{ip}","context":"cvss_score","labels":["{score // 10}.{score % 10}"]}}\n')
    out.write(f'{{"ip":"{ip}","context":"vuln_count","labels":["{findings}"]}}\n')


class Finish:
    """Rule 5 on what a data frame tool came to: from a few columns of each asset to the labels.

    A tool has folded the rows by then; what is left is once per asset, address and kept CVE.
    """

    def __init__(self):
        self.parts = {}

    def add(self, found, findings, score, rating, cves):
        """An asset with its addresses; `cves` is a list of (rank, year, number, digits, text), each id once."""
        for one in found:
            self.parts.setdefault(one, []).append((findings, score, rating, cves))

    def write(self, out):
        for one in sorted(self.parts):
            parts = self.parts[one]
            findings, score, rating, cves = parts[0]
            if len(parts) > 1:
                findings = sum(part[0] for part in parts)
                score, rating = max(part[1] for part in parts), max(part[2] for part in parts)
                united = {}
                for cve in (cve for part in parts for cve in part[3]):
                    united[cve[4]] = max(cve, united.get(cve[4], cve))
                cves = sorted(united.values())[-MAX_CVES_PER_ADDRESS:]
            labels = [cve[4] for cve in sorted(cves, key=lambda cve: cve[1:4])]
            write(out, address_text(*one), findings, score, rating, '","'.join(labels))

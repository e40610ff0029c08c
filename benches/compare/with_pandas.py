"""The label rules with pandas: cells as categories, in chunks so that memory stays bounded.

Usage: with_pandas.py REPORT > LABELS
"""

import sys

import numpy as np
import pandas as pd

import rules

ROWS_AT_ONCE = 200_000


def by_value(cells, reading, dtype):
    """A rule of one cell, worked out once for each distinct cell. Categories of `true` and `false` are read as such."""
    values = np.array([reading(str(cell)) for cell in cells.cat.categories], dtype=dtype)
    return values[cells.cat.codes.to_numpy()]


def findings(path):
    """The counting rows, in the few small columns that the rules need."""
    with open(path, "rb") as file:
        compression = "gzip" if file.read(2) == b"\x1f\x8b" else None
    chunks = pd.read_csv(
        path,
        compression=compression,
        usecols=rules.COLUMNS,
        dtype="category",
        keep_default_na=False,
        na_filter=False,
        encoding="utf-8-sig",
        encoding_errors="replace",
        chunksize=ROWS_AT_ONCE,
        engine="c",
    )
    for rows in chunks:
        rows = rows[by_value(rows["FindingStatus"], rules.counts, bool)]
        score = by_value(rows["Score"], rules.tenths, np.int16)
        for column in ("NVDScore", "VendorScore"):
            score = np.where(score >= 0, score, by_value(rows[column], rules.tenths, np.int16))
        of_score = np.array([rules.rating_of_score(tenths) for tenths in range(-1, 101)], dtype=np.int16)[score + 1]
        rating = by_value(rows["CVSSSeverity"], rules.rating, np.int16)
        rating = np.where(rating > 0, rating, of_score)
        for column in ("Severity", "VendorSeverity", "NvdSeverity"):
            rating = np.where(rating > 0, rating, by_value(rows[column], rules.rating, np.int16))
        rank = (
            by_value(rows["HasCisaKevExploit"], rules.is_true, np.int16) * 2048
            + by_value(rows["HasExploit"], rules.is_true, np.int16) * 1024
            + (score + 1) * 8
            + rating
        )
        asset = by_value(rows["AssetID"], lambda cell: cell.strip() and "a" + cell.strip(), object)
        missing = asset == ""
        provider = by_value(rows["ProviderUniqueId"][missing], lambda cell: cell.strip() and "p" + cell.strip(), object)
        by_addresses = by_value(rows["IpAddresses"][missing], lambda cell: repr(rules.addresses(cell)), object)
        asset[missing] = np.where(provider != "", provider, by_addresses)
        yield pd.DataFrame({"key": asset, "ips": rows["IpAddresses"].astype(object), "name": rows["Name"].astype(object),
                            "score": score, "rating": rating, "rank": rank})


def fold(parts):
    """Per asset: findings, score and rating; per asset and name: the best rank; and the distinct address cells."""
    assets, names, cells = [], [], []
    for rows in parts:
        rows["key"] = rows["key"].astype("category")
        by_key = rows.groupby("key", observed=True, sort=False)
        folded = by_key.agg(score=("score", "max"), rating=("rating", "max"))
        folded["findings"] = by_key.size()
        assets.append(folded.reset_index().astype({"key": object}))
        cells.append(rows[["key", "ips"]].drop_duplicates().astype({"key": object}))
        severe = rows[rows["rating"] >= 3].astype({"name": "category"})
        severe = severe.groupby(["key", "name"], observed=True, sort=False)["rank"].max()
        names.append(severe.reset_index().astype({"key": object, "name": object}))
    assets = pd.concat(assets).groupby("key", sort=False).agg({"findings": "sum", "score": "max", "rating": "max"})
    return assets, pd.concat(names), pd.concat(cells).drop_duplicates().groupby("key", sort=False)["ips"].agg(list)


def main(path):
    assets, names, cells = fold(findings(path))
    names["name"] = names["name"].astype("category")
    ids = [[found.group().upper() for found in rules.CVE.finditer(name)] for name in names["name"].cat.categories]
    cves = pd.DataFrame({"key": names["key"], "rank": names["rank"],
                         "cve": pd.Series(ids, dtype=object).to_numpy()[names["name"].cat.codes]})
    cves = cves.explode("cve").dropna(subset=["cve"])
    cves = cves.groupby(["key", "cve"], sort=False)["rank"].max().reset_index()
    cves["cve"] = cves["cve"].astype("category")
    for name, part, dtype in (("year", lambda cve: int(cve[4:8]), np.int16), ("number", lambda cve: int(cve[9:]), np.uint64),
                              ("digits", len, np.int16)):
        cves[name] = by_value(cves["cve"], part, dtype)
    cves = cves.sort_values(["rank", "year", "number", "digits"], ascending=False)
    cves = cves.groupby("key", sort=False).head(rules.MAX_CVES_PER_ASSET)
    kept = {}
    columns = [cves[name].tolist() for name in ("rank", "year", "number", "digits", "cve")]
    for key, cve in zip(cves["key"], zip(*columns)):
        kept.setdefault(key, []).append(cve)
    finish = rules.Finish()
    for key, count, score, rating in assets[["findings", "score", "rating"]].itertuples(name=None):
        found = {one for cell in cells[key] for one in rules.addresses(cell)}
        finish.add(found, count, score, rating, kept.get(key, []))
    finish.write(sys.stdout)


main(sys.argv[1])

"""The label rules with Polars: one streaming pass over the file, then two small groupings.

Usage: with_polars.py REPORT > LABELS
"""

import sys

import polars as pl

import rules


def by_value(column, reading, dtype):
    """A rule of one cell, worked out once for each distinct cell of a batch."""

    def read(cells):
        distinct = cells.unique()
        values = [reading(cell or "") for cell in distinct.to_list()]
        return cells.replace_strict(distinct, pl.Series(values, dtype=dtype), return_dtype=dtype)

    return pl.col(column).map_batches(read, return_dtype=dtype, is_elementwise=True)


def first(*expressions):
    """The first that says something: those that do not say 0."""
    *rest, last = expressions
    for expression in reversed(rest):
        last = pl.when(expression != 0).then(expression).otherwise(last)
    return last


def findings(path):
    """The counting rows, in the few small columns that the rules need."""
    lazy = pl.scan_csv(path, infer_schema=False, empty_string_is_null=False, encoding="utf8-lossy")
    lazy = lazy.select(rules.COLUMNS).filter(by_value("FindingStatus", rules.counts, pl.Boolean))
    score = pl.lit(-1, pl.Int8)
    for column in ("VendorScore", "NVDScore", "Score"):
        read = by_value(column, rules.tenths, pl.Int8)
        score = pl.when(read >= 0).then(read).otherwise(score)
    lazy = lazy.with_columns(
        score=score,
        asset=pl.col("AssetID").str.strip_chars(),
        provider=pl.col("ProviderUniqueId").str.strip_chars(),
    )
    of_score = (
        pl.when(pl.col("score") <= 0).then(0)
        .when(pl.col("score") < 40).then(1)
        .when(pl.col("score") < 70).then(2)
        .when(pl.col("score") < 90).then(3)
        .otherwise(4).cast(pl.Int8)
    )
    says = [by_value(column, rules.rating, pl.Int8) for column in ("CVSSSeverity", "Severity", "VendorSeverity", "NvdSeverity")]
    lazy = lazy.with_columns(rating=first(says[0], of_score, *says[1:]))
    keyless = (pl.col("asset") == "") & (pl.col("provider") == "")
    rank = (
        by_value("HasCisaKevExploit", rules.is_true, pl.Int16) * 2048
        + by_value("HasExploit", rules.is_true, pl.Int16) * 1024
        + (pl.col("score").cast(pl.Int16) + 1) * 8
        + pl.col("rating")
    )
    return lazy.select(
        key=pl.when(pl.col("asset") != "").then("a" + pl.col("asset"))
        .when(~keyless).then("p" + pl.col("provider"))
        .otherwise("l" + by_value("IpAddresses", lambda cell: repr(rules.addresses(cell)), pl.String)),
        ips="IpAddresses",
        name=pl.when(pl.col("rating") >= 3).then("Name"),
        score="score",
        rating="rating",
        rank=rank,
    ).collect(engine="streaming")


def main(path):
    rows = findings(path)
    assets = rows.lazy().group_by("key").agg(
        pl.len().alias("findings"), pl.col("score").max(), pl.col("rating").max(), pl.col("ips").unique()
    )
    ids = (
        rows.lazy().filter(pl.col("name").is_not_null())
        .group_by("key", "name").agg(pl.col("rank").max())
        .with_columns(cve=pl.col("name").str.extract_all(r"(?i)\bcve-[0-9]{4}-[0-9]{4,19}\b"))
        .explode("cve").drop_nulls("cve")
        .group_by("key", pl.col("cve").str.to_uppercase()).agg(pl.col("rank").max())
        .with_columns(
            year=pl.col("cve").str.slice(4, 4).cast(pl.Int16),
            number=pl.col("cve").str.slice(9).cast(pl.UInt64),
            digits=pl.col("cve").str.len_bytes(),
        )
    )
    best = (
        ids.sort("rank", "year", "number", "digits", descending=True)
        .group_by("key", maintain_order=True).head(rules.MAX_CVES_PER_ASSET)
        .group_by("key").agg(pl.struct("rank", "year", "number", "digits", "cve").alias("cves"))
    )
    assets, best = pl.collect_all([assets, best])
    cves = {key: [tuple(cve.values()) for cve in kept] for key, kept in best.iter_rows()}
    finish = rules.Finish()
    for key, count, score, rating, ips in assets.iter_rows():
        found = {one for cell in ips for one in rules.addresses(cell)}
        finish.add(found, count, score, rating, cves.get(key, []))
    finish.write(sys.stdout)


main(sys.argv[1])

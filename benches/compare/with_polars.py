"""The label rules with Polars: a streaming pass over the file for the columns that are read, then expressions on those.

To work the rules of cells out inside the stream took half as long again, and regular expressions longer still.

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
    lazy = lazy.select(rules.COLUMNS).collect(engine="streaming").lazy().filter(by_value("FindingStatus", rules.counts, pl.Boolean))
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
    rank = (
        by_value("HasCisaKevExploit", rules.is_true, pl.Int16) * 2048
        + by_value("HasExploit", rules.is_true, pl.Int16) * 1024
        + (pl.col("score").cast(pl.Int16) + 1) * 8
        + pl.col("rating")
    )
    return lazy.select(
        key=pl.when(pl.col("asset") != "").then("a" + pl.col("asset"))
        .when(pl.col("provider") != "").then("p" + pl.col("provider"))
        .otherwise(pl.lit("l")),
        ips="IpAddresses",
        name=pl.when(pl.col("rating") >= 3).then("Name"),
        score="score",
        rating="rating",
        rank=rank,
    ).collect()


def carried(assets):
    """Which asset carries which address, with the place of the address in the order of all."""
    cells = assets.select("key", "ips").explode("ips")
    distinct = cells["ips"].unique()
    found = [rules.addresses(cell) for cell in distinct.to_list()]
    texts = {one: (place, rules.address_text(*one)) for place, one in enumerate(sorted({one for ips in found for one in ips}))}
    found = pl.DataFrame(
        [(cell, *texts[one]) for cell, ips in zip(distinct, found) for one in ips],
        schema={"ips": pl.String, "place": pl.UInt32, "ip": pl.String},
        orient="row",
    )
    return cells.join(found, on="ips").select("key", "place", "ip").unique()


def main(path):
    rows = findings(path)
    # Assets without an id are known by their addresses, however those are written.
    keyless = rows.filter(pl.col("key") == "l")["ips"].unique()
    of_addresses = pl.col("ips").replace_strict(keyless, ["l" + repr(rules.addresses(cell)) for cell in keyless], default="")
    rows = rows.with_columns(key=pl.when(pl.col("key") == "l").then(of_addresses).otherwise("key"))
    assets = rows.group_by("key").agg(
        pl.len().alias("findings"), pl.col("score").max(), pl.col("rating").max(), pl.col("ips").unique()
    )
    addresses = carried(assets)
    order = ["rank", "year", "number", "digits"]
    cves = (
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
        .sort(order, descending=True)
        .group_by("key", maintain_order=True).head(rules.MAX_CVES_PER_ASSET)
        .join(addresses.lazy(), on="key")
        .group_by("place", "cve").agg(pl.col("rank").max(), pl.col("year", "number", "digits").first())
        .sort(order, descending=True)
        .group_by("place", maintain_order=True).head(rules.MAX_CVES_PER_ADDRESS)
        .sort("year", "number", "digits")
        .group_by("place").agg(pl.col("cve").str.join('","'))
    )
    merged = (
        addresses.lazy().join(assets.lazy(), on="key")
        .group_by("place", "ip").agg(pl.col("findings").sum(), pl.col("score").max(), pl.col("rating").max())
        .join(cves, on="place", how="left")
        .sort("place")
    )
    out = sys.stdout
    for ip, count, score, rating, labels in merged.select("ip", "findings", "score", "rating", "cve").collect().iter_rows():
        rules.write(out, ip, count, score, rating, labels)


main(sys.argv[1])

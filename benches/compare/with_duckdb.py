"""The label rules with DuckDB: one pass over the file into the few columns that the rules need, then two groupings.

Usage: with_duckdb.py REPORT > LABELS
"""

import sys

import duckdb

import rules

# The rules of single cells are SQL expressions: a function of Python's would be called through its interpreter.

def tenths(column):
    """Rule 2, by the digits: the tenths of a score, or NULL when the cell does not read."""
    cell = f"trim({column}, E' \\t\\r\\n')"
    digits = f"regexp_extract({cell}, '^0*([0-9]{{1,2}})(?:[.,]([0-9])([0-9])?[0-9]*)?$', ['w', 'a', 'b'])"
    value = (
        f"(d.w::UTINYINT * 10 + (CASE d.a WHEN '' THEN '0' ELSE d.a END)::UTINYINT"
        f" + CASE WHEN d.b >= '5' THEN 1 ELSE 0 END)"
    )
    read = f"CASE WHEN d.w = '' OR d.w::UTINYINT > 10 OR regexp_matches({cell}, '^0*10[.,]0*[1-9]') THEN NULL ELSE {value} END"
    # The common forms first, without a regular expression.
    return (
        f"CASE WHEN {column} = '' THEN NULL"
        f" WHEN length({column}) = 3 AND {column}[2] IN ('.', ',') AND {column}[1] BETWEEN '0' AND '9'"
        f" AND {column}[3] BETWEEN '0' AND '9' THEN {column}[1]::UTINYINT * 10 + {column}[3]::UTINYINT"
        f" ELSE list_transform([{digits}], lambda d: {read})[1] END"
    )


def rating(column):
    """Rule 3 of one cell."""
    return (
        f"CASE lower(trim({column}, E' \\t\\r\\n')) WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'high' THEN 3"
        f" WHEN 'critical' THEN 4 END"
    )


def is_true(column):
    return f"(lower(trim({column}, E' \\t\\r\\n')) = 'true')::SMALLINT"


def main(path):
    db = duckdb.connect()
    db.execute("SET preserve_insertion_order = false")
    columns = ", ".join(f'"{column}"' for column in rules.COLUMNS)
    db.execute(
        f"""
        CREATE TABLE findings AS
        WITH read AS (
            SELECT {columns}
            FROM read_csv($path, all_varchar = true, header = true, delim = ',', quote = '"', escape = '"',
                          null_padding = false, strict_mode = false, max_line_size = 2097152)
        ), cells AS (
            SELECT * REPLACE ({", ".join(f'''coalesce("{column}", '') AS "{column}"''' for column in rules.COLUMNS)}) FROM read
        ), scored AS (
            SELECT *, coalesce({tenths("Score")}, {tenths("NVDScore")}, {tenths("VendorScore")}, -1)::TINYINT AS points
            FROM cells
            WHERE lower(regexp_replace(FindingStatus, '[\\s_]', '', 'g')) IN ('', 'open', 'inprogress')
        ), rated AS (
            SELECT *, coalesce({rating("CVSSSeverity")},
                CASE WHEN points <= 0 THEN NULL WHEN points < 40 THEN 1 WHEN points < 70 THEN 2 WHEN points < 90 THEN 3 ELSE 4 END,
                {rating("Severity")}, {rating("VendorSeverity")}, {rating("NvdSeverity")}, 0)::TINYINT AS level
            FROM scored
        )
        SELECT trim(AssetID, E' \\t\\r\\n') AS asset, trim(ProviderUniqueId, E' \\t\\r\\n') AS provider,
            CASE WHEN asset <> '' THEN 'a' || asset WHEN provider <> '' THEN 'p' || provider ELSE 'l' || IpAddresses END AS key,
            IpAddresses AS ips, points, level,
            CASE WHEN level >= 3 THEN Name END AS name,
            ({is_true("HasCisaKevExploit")} * 2048 + {is_true("HasExploit")} * 1024 + (points::SMALLINT + 1) * 8 + level)::SMALLINT AS rank
        FROM rated
        """,
        {"path": path},
    )
    # Assets without an id are known by their addresses, however those are written.
    for (cell,) in db.execute("SELECT DISTINCT ips FROM findings WHERE asset = '' AND provider = ''").fetchall():
        db.execute(
            "UPDATE findings SET key = 'l' || $key WHERE asset = '' AND provider = '' AND ips = $ips",
            {"key": repr(rules.addresses(cell)), "ips": cell},
        )
    cves = {}
    kept = db.execute(
        f"""
        WITH ids AS (
            SELECT key, upper(unnest(regexp_extract_all(name, '(?i)\\bcve-[0-9]{{4}}-[0-9]{{4,19}}\\b'))) AS cve, rank
            FROM (SELECT key, name, max(rank) AS rank FROM findings WHERE name IS NOT NULL GROUP BY ALL)
        ), ranked AS (
            SELECT key, max(rank) AS rank, cve[5:8]::SMALLINT AS year, cve[10:]::UBIGINT AS number, length(cve) AS digits, cve
            FROM ids GROUP BY key, cve
        )
        SELECT * FROM ranked
        QUALIFY row_number() OVER (PARTITION BY key ORDER BY rank DESC, year DESC, number DESC, digits DESC)
            <= {rules.MAX_CVES_PER_ASSET}
        """
    )
    while batch := kept.fetchmany(100_000):
        for key, *cve in batch:
            cves.setdefault(key, []).append(tuple(cve))
    finish = rules.Finish()
    assets = db.execute("SELECT key, count(*), max(points), max(level), list(DISTINCT ips) FROM findings GROUP BY key")
    for key, count, score, rating_, ips in assets.fetchall():
        found = {one for cell in ips for one in rules.addresses(cell)}
        finish.add(found, count, score, rating_, cves.get(key, []))
    finish.write(sys.stdout)


main(sys.argv[1])

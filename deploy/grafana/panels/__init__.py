"""What the panels of all dashboards are written with."""

# The processes that the variables at the top of a dashboard leave.
OURS = 'job=~"$job",instance=~"$instance"'
SHARD = OURS + ',shard=~"$shard"'


def p(title, text, unit, *queries, **more):
    """A panel: `queries` are (expression, legend), or expressions that need no legend."""
    pairs = [query if isinstance(query, tuple) else (query, title) for query in queries]
    return {"title": title, "text": text, "unit": unit, "queries": pairs, **more}


def stat(title, text, unit, query, **more):
    """One number, small."""
    return p(title, text, unit, query, kind="stat", **{"w": 4, "h": 4, **more})


def bars(title, text, unit, query, **more):
    """A ranking as of now."""
    return p(title, text, unit, query, kind="bargauge", **more)


def rate(metric, by="", where=OURS):
    """Events a second."""
    total = f"sum by ({by}) " if by else "sum"
    return f"{total}(rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(share, metric, by="", where=OURS):
    """A percentile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return (f"histogram_quantile({share}, sum by ({labels}) "
            f"(rate({metric}_bucket{{{where}}}[$__rate_interval])))")


def quantiles(metric, where=OURS):
    """The percentiles one looks at, as queries."""
    return [(quantile(share, metric, where=where), f"p{100 * share:g}")
            for share in (0.5, 0.9, 0.99, 0.999)]

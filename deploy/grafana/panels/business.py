"""What the service is for: links made, clicks counted, by whom."""

from panels import OURS, bars, p, rate, stat

TITLE = "Business"
LINKS = [("Kafka and clicks", "clicks"), ("Classifier", "classifier")]
SINCE = "now-24h"
HUMAN = 'kind="human"'

ROWS = [
    ("How many links are there?", [
        stat("Links", "Estimated by the databases, tombstones included. 0 on a new cluster until "
             "the first ANALYZE (a minute). "
             "A fall: a shard is away, see 'Shards'.", "short", "sum(urlshort:shard:links)", w=6),
        stat("Made, 24 h", "Sums over all processes. A sudden 0: creation fails, see 'HTTP'.",
             "short", "sum(increase(urlshort_links_created_total[24h]))", w=6),
        stat("Edited, 24 h", "PATCH requests that changed something. A jump is a bulk job: look "
             "whose key it has.", "short",
             "sum(increase(urlshort_links_changed_total[24h]))", w=6),
        stat("Deleted, 24 h", "For ever: codes are not given again. A jump deserves a look at who "
             "holds a key.", "short", "sum(increase(urlshort_links_deleted_total[24h]))", w=6),
        p("Links made, edited, deleted", "A flood of creations without visitors is abuse: see who, "
          "and the limits on 'HTTP'.", "ops",
          (rate("urlshort_links_created_total"), "made"),
          (rate("urlshort_links_changed_total"), "edited"),
          (rate("urlshort_links_deleted_total"), "deleted"), w=24),
    ]),
    ("Who follows them?", [
        stat("Clicks by people, 24 h", "As counted. Far below the redirects: 'Kafka and clicks' "
             "says where they wait. See also NoAppReady's runbook if both fall.", "short",
             f"sum(increase(urlshort_clicks_counted_total{{{HUMAN}}}[24h]))", w=6),
        stat("Share of bots", "Known robots by their name; they are counted apart from people. Above a "
             "half: a crawler found a page full of short links. Look at the busiest links, and raise no "
             "alarm.", "percentunit",
             'sum(increase(urlshort_clicks_counted_total{kind="bot"}[24h])) / '
             "sum(increase(urlshort_clicks_counted_total[24h]))", w=6),
        stat("Previews, 24 h", "Messengers that show a link before anybody follows it. Many with "
             "few people: a bot posts links; look at who made them.", "short",
             'sum(increase(urlshort_clicks_counted_total{kind="preview"}[24h]))', w=6),
        stat("HEAD and prefetch, 24 h", "In no total of a link. Many: a monitor or a browser's speculation; "
             "harmless. Compare with 'Clicks by kind' below.", "short",
             'sum(increase(urlshort_clicks_counted_total{kind="head"}[24h]))', w=6),
        p("Clicks by kind", "People, bots, previews, HEAD. The daily curve is people's; a flat "
          "band is machines': look at 'Share of bots', and who posts the links that they follow.",
          "cps",
          ("sum by (kind) (rate(urlshort_clicks_counted_total[$__rate_interval]))", "{{kind}}"),
          w=12, stack=True),
        p("Unknown codes asked for", "Typos, dead posters, guessing. A step against yesterday: a "
          "scan (see 429 on 'Redirect path') or links deleted by mistake.", "reqps",
          (rate("urlshort_redirects_total", where=OURS + ',status="404"'), "404"),
          (rate("urlshort_redirects_total", where=OURS + ',status="410"'), "410"), w=12),
    ]),
    ("What are they about?", [
        bars("Top categories of new links, 24 h", "By the classifier; empty without one. A "
             "category that leads suddenly is a campaign: look at its newest links.", "short",
             ("topk(10, sum by (category) (increase(urlshort_classify_links_total[24h])))",
              "{{category}}"), w=12),
        bars("Verdicts, 24 h", "How many new links were judged suspicious or malicious. A jump is "
             "abuse: require keys (AUTH_ANONYMOUS_CREATE=false).", "short",
             ("sum by (verdict) (increase(urlshort_classify_verdicts_total[24h])) or vector(0)",
              "{{verdict}}"), w=12),
        p("Links refused as dangerous", "Creations whose target is on a block list or certainly "
          "harmful. A wave is an attack: see who, and the limits on 'HTTP'.", "ops",
          (rate("urlshort_links_blocked_total") + " or vector(0)", "refused"), w=24, h=6),
    ]),
]

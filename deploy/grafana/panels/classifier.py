"""New links get a category and a verdict on their risk: how many wait, how long it takes."""

from panels import OURS, bars, p, quantile, rate, stat

TITLE = "Classifier"
LINKS = [("Business", "business"), ("System", "system")]

ROWS = [
    ("Does it keep up?", [
        stat("Backlog", "Links that are not judged yet; they are followed meanwhile. Growing: more "
             "classify processes. See ClassifierBacklog's runbook.", "short",
             f"max(urlshort_classify_backlog_links{{{OURS}}})", steps=[1000, 10000], w=8, h=8),
        p("Judged", "Lower than the links made ('Business') for long: the backlog grows; run more "
          "classify processes.", "ops",
          (rate("urlshort_classify_links_total"), "links")),
        p("Errors", "By reason. The built-in rules decide where the model fails.", "ops",
          (rate("urlshort_classify_errors_total", "reason"), "{{reason}}")),
    ]),
    ("What does it decide?", [
        bars("Categories, 24 h", "One that leads suddenly is a campaign, or a model gone wrong.",
             "short",
             (f"sum by (category) (increase(urlshort_classify_links_total{{{OURS}}}[24h]))",
              "{{category}}")),
        p("Verdicts", "Many suspicious ones: abuse. Look at the links of the hour.", "ops",
          (rate("urlshort_classify_verdicts_total", "verdict"), "{{verdict}}")),
        p("Decided by", "Rules or model. All rules: no model is mounted (classify.model_dir), or "
          "it failed to load.", "ops",
          (rate("urlshort_classify_links_total", "decided_by"), "{{decided_by}}")),
    ]),
    ("How long does it take?", [
        p("Time for a batch", "Grows with the size. More threads make a small model slower: rather "
          "run more processes.", "s",
          (quantile(0.5, "urlshort_classify_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_classify_duration_seconds"), "p99"), w=12),
        p("Links in a batch", "1 when idle, full under load. Full with a growing backlog: run more classify "
          "processes.", "short",
          (f"sum(rate(urlshort_classify_batch_size_sum{{{OURS}}}[$__rate_interval])) / "
           f"sum(rate(urlshort_classify_batch_size_count{{{OURS}}}[$__rate_interval]))", "links"),
          w=12),
    ]),
]

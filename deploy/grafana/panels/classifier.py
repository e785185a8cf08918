"""New links get a category and a verdict on their risk: how many wait, how long it takes."""

from panels import OURS, bars, p, quantile, rate, stat

TITLE = "Classifier"
LINKS = [("Business", "business"), ("System", "system")]

ROWS = [
    ("Does it keep up?", [
        stat("Backlog", "Links that are not judged yet; they are followed meanwhile. Growing: more "
             "classify processes. See ClassifierBacklog's runbook.", "short",
             f"sum(max by (shard) (urlshort_classify_backlog_links{{{OURS}}}))", steps=[1000, 10000], w=8, h=8),
        p("Judged", "Lower than the links made ('Business') for long: the backlog grows; run more "
          "classify processes.", "ops",
          (rate("urlshort_classify_links_total"), "links")),
        p("Errors", "By what failed. The built-in rules decide where the model fails. A rate that "
          "stays: look at the log of `classify`, and copy the model again if it names a file.",
          "ops",
          (rate("urlshort_classify_errors_total", "what") + " or vector(0)", "{{what}}")),
    ]),
    ("What does it decide?", [
        bars("Categories, 24 h", "One that leads suddenly is a campaign, or a model gone wrong: "
             "look at its newest links, and run without the model to compare.",
             "short",
             (f"sum by (category) (increase(urlshort_classify_links_total{{{OURS}}}[24h]))",
              "{{category}}")),
        p("Verdicts", "Many suspicious ones: abuse. Look at the links of the hour.", "ops",
          (rate("urlshort_classify_verdicts_total", "verdict") + " or vector(0)", "{{verdict}}")),
        p("Decided by", "Rules or model. All rules: no model is mounted (classify.model_dir), or "
          "it failed to load: see the log of `classify`.", "ops",
          (rate("urlshort_classify_links_total", "decided"), "{{decided}}")),
    ]),
    ("Is what it needs there?", [
        stat("Processes with a model", "0: the rules decide alone. Meant otherwise: mount the "
             "model and set CLASSIFY_MODEL_DIR; the log says why one was not loaded.", "short",
             f"sum(urlshort_classify_model_loaded{{{OURS}}})", w=8, h=8),
        p("Block list entries", "Hosts, suffixes and networks in force. A fall: a file is empty or "
          "unreadable, and the last good one may be old; see the log.", "short",
          (f"max by (job, instance) (urlshort_blocklist_entries{{{OURS}}})", "{{instance}}")),
        p("Events of new links", "sent tells the classifier at once; dropped and failed links are "
          "found by its sweep, some seconds later. Many: see KafkaDown's runbook.", "ops",
          (rate("urlshort_link_events_total", "outcome") + " or vector(0)", "{{outcome}}")),
    ]),
    ("How long does it take?", [
        p("Time for a batch", "Grows with the size. More threads make a small model slower: rather "
          "run more processes.", "s",
          (quantile(0.5, "urlshort_classify_batch_duration_seconds"), "p50"),
          (quantile(0.99, "urlshort_classify_batch_duration_seconds"), "p99"), w=12),
        p("Links in a batch", "1 when idle, full under load. Full with a growing backlog: run more "
          "classify processes.", "short",
          (f"sum(rate(urlshort_classify_batch_links_sum{{{OURS}}}[$__rate_interval])) / "
           f"sum(rate(urlshort_classify_batch_links_count{{{OURS}}}[$__rate_interval]))", "links"),
          w=12),
    ]),
]

"""Rate, errors and duration of every route, but for near hits, which 'Redirect path' shows."""

from panels import OURS, bars, p, quantile, quantiles, rate, stat

TITLE = "HTTP"
LINKS = [("Redirect path", "redirects"), ("System", "system")]
ERRORS = OURS + ',code=~"5.."'

ROWS = [
    ("How many requests are there?", [
        p("Requests by route", "Where the load is. A route that suddenly leads is a new client, a scan "
          "or a loop. To see the addresses, restart the balancer without dontlog-normal in "
          "balancer/haproxy.cfg.", "reqps",
          (rate("urlshort_http_requests_total", "route"), "{{route}}"), w=12, stack=True),
        p("Requests by status", "4xx are the clients' fault, 5xx ours. A step of 4xx after a "
          "release is a broken contract: see which route below.", "reqps",
          (rate("urlshort_http_requests_total", "code"), "{{code}}"), w=12, stack=True),
        p("Requests by process", "The balancer should spread them evenly. One that gets none is "
          "not ready; one that gets all is the only one that is: look at the others' logs.",
          "reqps",
          (rate("urlshort_http_requests_total", "instance"), "{{instance}}")),
        p("Methods", "Writes are POST, PATCH, DELETE. Many POSTs without a key end at the limit on "
          "the right: give their client a key.",
          "reqps", (rate("urlshort_http_requests_total", "method"), "{{method}}")),
        p("Refused by rate limits", "'miss' is the brake on guessing codes, 'create' the limit of "
          "creations without a key. If it hits customers, give them keys, or raise "
          "URLSHORT__LIMITS__ANONYMOUS_CREATES_PER_MINUTE.", "reqps",
          (rate("urlshort_http_rate_limited_total", "what"), "{{what}}")),
    ]),
    ("How many fail?", [
        p("Server errors by route", "503 with a shard down is expected, 500 never is: the log has "
          "the request_id of the answer: look for it there.", "reqps",
          (f'sum by (route, code) (rate(urlshort_http_requests_total{{{ERRORS}}}'
           '[$__rate_interval])) or vector(0)', "{{route}} {{code}}"), w=12),
        stat("Share of 5xx", "Over 0.05 % eats the budget. Compare with the balancer's figure: "
             "what only it sees never reached us.", "percentunit",
             f'(sum(rate(urlshort_http_requests_total{{{ERRORS}}}[$__rate_interval])) or vector(0))'
             f' / {rate("urlshort_http_requests_total")}', steps=[0.0005, 0.01], w=6, h=8),
        stat("Share of 4xx", "Mostly unknown codes. A jump after a release is ours: see which "
             "route and code above, and roll back.", "percentunit",
             'sum(rate(urlshort_http_requests_total{' + OURS + ',code=~"4.."}[$__rate_interval])) / '
             + rate("urlshort_http_requests_total"), w=6, h=8),
    ]),
    ("How long do they take?", [
        p("Percentiles over all routes", "Near hits are not in here. p99 near 0.25 s means that "
          "shards run into the budget of a redirect: see 'Shards'.", "s",
          *quantiles("urlshort_http_request_duration_seconds"), w=12, log=True),
        p("p99 by route", "Compare with the same hour yesterday. Slow statistics are long ranges; "
          "slow creations are a busy shard: see 'Shards'.", "s",
          (quantile(0.99, "urlshort_http_request_duration_seconds", "route"), "{{route}}"), w=12),
        bars("Slowest routes (mean)", "Where an optimisation pays: rate × duration is time. A "
             "newcomer on top: see its percentiles, then the query times on 'Shards'.", "s",
             ("topk(10, sum by (route) (rate(urlshort_http_request_duration_seconds_sum{" + OURS +
              "}[$__rate_interval])) / sum by (route) (rate("
              "urlshort_http_request_duration_seconds_count{" + OURS + "}[$__rate_interval])))",
              "{{route}}"), w=12),
        p("In flight", "Requests that wait for their answer. Little's law: rate × duration; if it "
          "climbs alone, something behind hangs: see pool waits on 'Shards', then 'Redis'.",
          "short",
          (f"sum by (instance) (urlshort_http_requests_in_flight{{{OURS}}})", "{{instance}}"), w=12),
    ]),
    ("What does the balancer see?", [
        p("Answers by the balancer", "What clients got. 5xx here without 5xx above: no app was "
          "ready, or a process died under a request: see NoAppReady's runbook.", "reqps",
          ('sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="public"}'
           '[$__rate_interval]))', "{{code}}")),
        p("Servers it sends to", "Processes whose health check passes. During a rolling deploy it "
          "dips by one at a time, never to 0. Fewer for long: see AppNotRedundant's runbook.",
          "short",
          ('haproxy_backend_active_servers{proxy="app"}', "active")),
        p("Retries and redispatches", "Requests that were sent again to another process, unseen by "
          "the client. A few during a deploy; many mean processes that die: see "
          "ProcessRestarting's runbook.", "reqps",
          ('sum(rate(haproxy_backend_retry_warnings_total{proxy="app"}[$__rate_interval]))',
           "retries"),
          ('sum(rate(haproxy_backend_redispatch_warnings_total{proxy="app"}[$__rate_interval]))',
           "redispatches")),
    ]),
]

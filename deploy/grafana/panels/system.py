"""Processes and machines: CPU, memory, network, descriptors, disks."""

from panels import OURS, p, rate, stat

TITLE = "System"
LINKS = [("Overview", "overview")]
DISK = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'

ROWS = [
    ("How are our processes?", [
        p("CPU", "Cores in use. At the limit of the container, latency grows: add replicas.",
          "short",
          (rate("process_cpu_seconds_total", "job, instance"), "{{job}} {{instance}}")),
        p("Memory", "Resident. Bounded by the near cache's limit plus some 60 MiB. A steady climb "
          "is a leak: report it with this panel.", "bytes",
          (f"sum by (job, instance) (process_resident_memory_bytes{{{OURS}}})",
           "{{job}} {{instance}}")),
        p("Address space", "Much larger than memory, by design of the allocator. Only a steady "
          "climb matters."
          " Then report it with this panel.", "bytes",
          (f"sum by (job, instance) (process_virtual_memory_bytes{{{OURS}}})",
           "{{job}} {{instance}}")),
        p("File descriptors", "Of the limit: one a connection. See FileDescriptorsLow's runbook.",
          "percentunit",
          (f"max by (job, instance) (process_open_fds{{{OURS}}} / process_max_fds{{{OURS}}})",
           "{{job}} {{instance}}"), max=1, steps=[0.8]),
        p("Threads", "Constant after the start. A climb: something blocks (a dead disk); see the "
          "log, then restart the process.", "short",
          (f"sum by (job, instance) (process_threads{{{OURS}}})", "{{job}} {{instance}}")),
        p("Network", "Of the container (natively: of the machine). Near the limit of the "
          "interface, latency grows: spread replicas over machines.", "Bps",
          (rate("process_network_receive_bytes_total", "instance"), "{{instance}} in"),
          (rate("process_network_transmit_bytes_total", "instance"), "{{instance}} out")),
        p("Uptime", "A drop to 0 is a restart. Many: ProcessRestarting's runbook.", "s",
          (f"time() - max by (job, instance) (process_start_time_seconds{{{OURS}}})",
           "{{job}} {{instance}}"), w=12),
        p("Clock against the databases'", "Above 2 s: mend NTP. Expiry follows the databases, logs "
          "do not. See ClockSkew's runbook.", "s",
          (f"max by (job, instance) (abs(urlshort_clock_skew_seconds{{{OURS}}}))",
           "{{job}} {{instance}}"), w=12, steps=[2]),
    ]),
    ("How are the machines?", [
        p("CPU", "By mode. iowait: a slow disk; steal: the host is overbooked."
          ": move to a larger one, or stop what else runs there.", "percentunit",
          ('sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval])) / '
           'ignoring (mode) group_left sum(rate(node_cpu_seconds_total[$__rate_interval]))',
           "{{mode}}"), stack=True, max=1),
        p("Memory available", "Below 10 % the kernel begins to take caches away: lower the limits "
          "of containers, or add memory.", "percentunit",
          ("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}"), max=1),
        p("Load for each core", "Above 1: processes wait for a core. Stop what does not belong "
          "here (a load test, a backup), or add machines.", "short",
          ('node_load1 / on (instance) count by (instance) (node_cpu_seconds_total{mode="idle"})',
           "{{instance}}")),
        p("Disk space left", "Below 10 %, PostgreSQL, Redpanda and spools are near their end: "
          "DiskFilling's runbook.", "percentunit",
          (f"node_filesystem_avail_bytes{{{DISK}}} / node_filesystem_size_bytes{{{DISK}}}",
           "{{mountpoint}}"), max=1),
        p("Disk time", "1: the disk is busy all the time. PostgreSQL and the spools feel it first."
          ": give them disks of their own.",
          "percentunit",
          ("sum by (device) (rate(node_disk_io_time_seconds_total[$__rate_interval]))",
           "{{device}}"), max=1),
        p("Network", "All interfaces but the loopback. Near the limit of the interface: spread "
          "replicas over machines.", "Bps",
          ('sum(rate(node_network_receive_bytes_total{device!="lo"}[$__rate_interval]))', "in"),
          ('sum(rate(node_network_transmit_bytes_total{device!="lo"}[$__rate_interval]))', "out")),
    ]),
    ("Is the watching well?", [
        stat("Targets up", "Share of targets that answer. See TargetDown's runbook.", "percentunit",
             "sum(up) / count(up)", steps=[0.9, 1], low_is_bad=True, w=6),
        stat("Series", "In Prometheus' head. A jump: a label with too many values."
          ": look at Prometheus' page /tsdb-status.", "short",
             "sum(prometheus_tsdb_head_series)", w=6),
        stat("Samples a second", "What is taken in: series over interval. A fall: targets are "
             "down; a jump: see the series on the left.", "short",
             "sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))", w=6),
        stat("Rules that failed, 1 h", "Must be 0. See RuleEvaluationFails' runbook.", "short",
             "sum(increase(prometheus_rule_evaluation_failures_total[1h]))", steps=[1, 10], w=6),
    ]),
]

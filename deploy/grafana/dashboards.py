#!/usr/bin/env python3
"""Writes dashboards/*.json, the twelve dashboards that Grafana is provisioned with.

    deploy/grafana/dashboards.py            write them
    deploy/grafana/dashboards.py --check    fail if a file is not what this would write

A dashboard is a list of rows, a row a question, a panel its answer: title, what to do when it looks
wrong, unit, queries. Everything that a hundred panels have in common stands here once; the JSON is
committed, because Grafana reads nothing else. What a dashboard shows is in panels/*.py.
"""

import importlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
NAMES = [
    "overview", "http", "redirects", "cache", "shards", "postgresql",
    "redis", "clicks", "classifier", "loadtest", "system", "business",
]

sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True


def variables():
    """The data source, and what every dashboard can be narrowed down to."""
    def query(name, label, definition):
        return {
            "name": name, "label": label, "type": "query", "datasource": SOURCE,
            "definition": definition, "query": {"query": definition, "refId": name},
            "refresh": 2, "sort": 3, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        }
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource",
         "query": "prometheus", "current": {}, "refresh": 1},
        query("job", "Job", "label_values(urlshort_build_info, job)"),
        query("instance", "Instance", 'label_values(urlshort_build_info{job=~"$job"}, instance)'),
        query("shard", "Shard", "label_values(urlshort_shard_up, shard)"),
    ]


def panel_json(number, panel, x, y, width):
    """One panel; `panel` is a dict of title, text, unit, queries and what differs."""
    kind = panel.get("kind", "timeseries")
    defaults = {"unit": panel["unit"], "min": panel.get("min")}
    for key in ("max", "decimals"):
        if key in panel:
            defaults[key] = panel[key]
    if "steps" in panel:
        colours = ["green", "yellow", "red"]
        steps = [{"color": colours[0], "value": None}]
        steps += [{"color": c, "value": v} for c, v in zip(colours[1:], panel["steps"])]
        if panel.get("low_is_bad"):
            steps = [{"color": "red", "value": None}]
            steps += [{"color": c, "value": v}
                      for c, v in zip(["yellow", "green"], panel["steps"])]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    options = {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "timeseries":
        custom = {"fillOpacity": 10, "showPoints": "never", "spanNulls": False}
        if panel.get("stack"):
            custom["stacking"] = {"mode": "normal"}
            custom["fillOpacity"] = 40
        if panel.get("log"):
            custom["scaleDistribution"] = {"type": "log", "log": 10}
        if "steps" in panel:
            custom["thresholdsStyle"] = {"mode": "line"}
        defaults["custom"] = custom
    elif kind in ("stat", "bargauge", "piechart"):
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if kind == "stat":
            options |= {"colorMode": "value", "graphMode": "area"}
        if kind == "bargauge":
            options |= {"orientation": "horizontal", "displayMode": "gradient"}
    instant = kind in ("bargauge", "piechart", "table")
    targets = [
        {"refId": chr(65 + at), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
         "instant": instant, "range": not instant, **({"format": "table"} if kind == "table" else {})}
        for at, (expr, legend) in enumerate(panel["queries"])
    ]
    return {
        "id": number, "type": kind, "title": panel["title"], "description": panel["text"],
        "datasource": SOURCE, "gridPos": {"x": x, "y": y, "w": width, "h": panel.get("h", 8)},
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": targets,
    }


def dashboard(name):
    """The whole JSON of one dashboard."""
    module = importlib.import_module(f"panels.{name}")
    panels, number, y = [], 1, 0
    for question, row in module.ROWS:
        panels.append({"id": number, "type": "row", "title": question, "collapsed": False,
                       "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        number, y, x, height = number + 1, y + 1, 0, 0
        for panel in row:
            width = panel.get("w", 8)
            if x + width > 24:
                x, y, height = 0, y + height, 0
            panels.append(panel_json(number, panel, x, y, width))
            number, x, height = number + 1, x + width, max(height, panel.get("h", 8))
        y += height
    return {
        "id": None, "uid": f"urlshort-{name}", "title": f"urlshort / {module.TITLE}",
        "description": " ".join(module.__doc__.split()), "tags": ["urlshort"],
        "schemaVersion": 39, "version": 1, "editable": False, "graphTooltip": 1,
        "refresh": getattr(module, "REFRESH", "30s"), "timezone": "browser",
        "time": {"from": getattr(module, "SINCE", "now-1h"), "to": "now"},
        "templating": {"list": variables()},
        "links": [{"type": "dashboards", "title": "Dashboards", "tags": ["urlshort"],
                   "asDropdown": True, "includeVars": True, "keepTime": True}]
                 + [{"type": "link", "title": title, "url": f"/d/urlshort-{to}",
                     "includeVars": True, "keepTime": True} for title, to in module.LINKS],
        "annotations": {"list": [
            {"name": "Deploys and restarts", "datasource": SOURCE, "enable": True,
             "iconColor": "blue", "titleFormat": "{{instance}} started",
             "expr": 'changes(process_start_time_seconds{job=~"urlshort-(app|analytics|classify)"}'
                     "[1m]) > 0"},
            {"name": "Alerts", "datasource": SOURCE, "enable": True, "iconColor": "red",
             "titleFormat": "{{alertname}}",
             "expr": 'ALERTS{alertstate="firing", severity=~"page|ticket"}'},
        ]},
        "panels": panels,
    }


def main():
    """Writes, or with --check compares."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for name in NAMES:
        text = json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"
        path = TARGET / f"{name}.json"
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"not what dashboards.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()

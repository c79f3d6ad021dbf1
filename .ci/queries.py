"""The queries of all dashboards as a file of recording rules, for promtool to judge whether they are PromQL."""

import json
import pathlib

# Grafana's own, as it would put them in.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$service": "All"}

rules = []
for dashboard in json.loads(pathlib.Path("deploy/telemetry/dashboards.json").read_text()):
    for panel in (panel for row in dashboard["rows"] for panel in row["panels"]):
        for query in panel["queries"].values():
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            rules.append({"record": f"query:{len(rules)}", "expr": query})
print(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))

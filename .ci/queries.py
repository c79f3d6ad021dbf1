"""The queries of all dashboards as a file of recording rules, for promtool to judge whether they are PromQL."""

import json
import pathlib

# Grafana's own, as it would put them in.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$service": "All"}

rules = []
# As Grafana has them: the list they are made from has shorter words for what is asked often.
for dashboard in sorted(pathlib.Path("deploy/telemetry/grafana/dashboards").glob("*.json")):
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            rules.append({"record": f"query:{len(rules)}", "expr": query})
if not rules:
    raise SystemExit("the dashboards ask nothing")
print(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))

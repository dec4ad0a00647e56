"""Ask Airflow's API server whether one of Airflow's parts is healthy: the exit status says so."""

import json
import sys
import urllib.request

with urllib.request.urlopen("http://api-server:8080/api/v2/monitor/health", timeout=5) as answer:
    found = json.load(answer)
sys.exit(found[sys.argv[1]]["status"] != "healthy")

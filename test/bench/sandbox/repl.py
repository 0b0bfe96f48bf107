"""A persistent Python: runs the line it reads, a JSON string, and answers with the last value as JSON."""
import json, sys

space = {}
for line in sys.stdin:
    print(json.dumps(eval(json.loads(line), space)), flush=True)

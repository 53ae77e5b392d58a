"""A client program of the black-box suite: a task per line comes in, an answer per line goes out, several at once.

A task names its `case`, the `base_url` and `key` of the gateway, the `model` and the `prompt`. What a case returns is
the answer's `told`; what it raises is the answer's `raised`. The program ends when its standard input does.
"""

import json
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

PARALLEL = 8

# What every client offers the model, in the spelling of JSON Schema.
TOOLS = [
    {
        "name": name,
        "description": description,
        "schema": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
    }
    for name, description, field in [("get_weather", "The weather", "city"), ("get_time", "The time", "zone")]
]

# What those tools say.
RESULTS = {"get_weather": "21 °C", "get_time": "9 am"}


def serve(cases):
    """Answers tasks with `cases`, functions by name that take a task."""
    out = threading.Lock()

    def play(task):
        try:
            answer = {"told": cases[task["case"]](task)}
        except Exception as error:
            # The suite decides whether it should have been raised; where it was is for people.
            traceback.print_exc()
            answer = {"raised": raised(error)}
        with out:
            print(json.dumps({"id": task["id"], **answer}), flush=True)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for line in sys.stdin:
            pool.submit(play, json.loads(line))


def raised(error):
    """An exception as its catcher sees it: its class, the HTTP status if it has one, and what it says."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return {"class": type(error).__name__, "status": status, "message": str(error)}


def until_it_breaks(pieces):
    """The pieces of a stream that must not look complete, and how it ended."""
    text = ""
    try:
        for piece in pieces:
            text += piece
    except Exception as error:
        return {"text": text, "raised": raised(error)}
    return {"text": text, "raised": None}

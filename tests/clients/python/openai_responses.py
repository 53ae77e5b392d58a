"""The official OpenAI SDK for Python, on Responses."""

import json

import tasks
from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "name": tool["name"],
        "description": tool["description"],
        "parameters": tool["schema"],
        "strict": False,
    }
    for tool in tasks.TOOLS
]


def client(task):
    return OpenAI(base_url=task["base_url"] + "/v1", api_key=task["key"])


def asked(task, **more):
    return {"model": task["model"], "input": [{"role": "user", "content": task["prompt"]}], **more}


def calls_in(response):
    return [item for item in response.output if item.type == "function_call"]


def told(response):
    calls = [
        {"id": call.call_id, "name": call.name, "arguments": json.loads(call.arguments)}
        for call in calls_in(response)
    ]
    usage = response.usage
    return {
        "text": response.output_text,
        "calls": calls,
        "stop": response.status,
        "usage": {
            "input": usage.input_tokens,
            "cached": usage.input_tokens_details.cached_tokens,
            "output": usage.output_tokens,
        },
    }


def whole(task):
    return told(client(task).responses.create(**asked(task)))


def streamed(task):
    with client(task).responses.stream(**asked(task)) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        response = told(stream.get_final_response())
    assert response["text"] == text, (response, text)
    return response


def round_trip(task, ask):
    # As the SDK's documentation does for callers who keep the conversation themselves.
    request = asked(task, tools=TOOLS, store=False, include=["reasoning.encrypted_content"])
    called = ask(request)
    request["input"] += called.output
    for call in calls_in(called):
        request["input"].append(
            {"type": "function_call_output", "call_id": call.call_id, "output": tasks.RESULTS[call.name]}
        )
    return {"called": told(called), "after": told(ask(request))}


def tools(task):
    responses = client(task).responses
    return round_trip(task, lambda request: responses.create(**request))


def streamed_tools(task):
    responses = client(task).responses

    def ask(request):
        with responses.stream(**request) as stream:
            return stream.get_final_response()

    return round_trip(task, ask)


def cut(task):
    def pieces():
        with client(task).responses.stream(**asked(task)) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta
            stream.get_final_response()

    return tasks.until_it_breaks(pieces())


tasks.serve(
    {"whole": whole, "streamed": streamed, "tools": tools, "streamed_tools": streamed_tools, "cut": cut}
)

"""The official OpenAI SDK for Python, on Chat Completions."""

import json

import tasks
from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {"name": tool["name"], "description": tool["description"], "parameters": tool["schema"]},
    }
    for tool in tasks.TOOLS
]


def client(task):
    return OpenAI(base_url=task["base_url"] + "/v1", api_key=task["key"])


def asked(task, **more):
    return {"model": task["model"], "messages": [{"role": "user", "content": task["prompt"]}], **more}


def told(completion):
    [choice] = completion.choices
    calls = choice.message.tool_calls or []
    return {
        "text": choice.message.content or "",
        "calls": [
            {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
            for call in calls
        ],
        "stop": choice.finish_reason,
        "usage": usage(completion.usage),
    }


def usage(usage):
    return {
        "input": usage.prompt_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None,
        "output": usage.completion_tokens,
    }


def whole(task):
    return told(client(task).chat.completions.create(**asked(task)))


def streamed(task):
    text, stop, counted = "", None, None
    chunks = client(task).chat.completions.create(
        **asked(task, stream=True, stream_options={"include_usage": True})
    )
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            stop = choice.finish_reason or stop
        counted = chunk.usage or counted
    return {"text": text, "calls": [], "stop": stop, "usage": usage(counted)}


def round_trip(task, ask):
    request = asked(task, tools=TOOLS)
    called = ask(request)
    message = called.choices[0].message
    request["messages"].append(message)
    for call in message.tool_calls:
        request["messages"].append(
            {"role": "tool", "tool_call_id": call.id, "content": tasks.RESULTS[call.function.name]}
        )
    return {"called": told(called), "after": told(ask(request))}


def tools(task):
    completions = client(task).chat.completions
    return round_trip(task, lambda request: completions.create(**request))


def streamed_tools(task):
    completions = client(task).chat.completions

    def ask(request):
        with completions.stream(**request, stream_options={"include_usage": True}) as stream:
            return stream.get_final_completion()

    return round_trip(task, ask)


def cut(task):
    chunks = client(task).chat.completions.create(**asked(task, stream=True))
    return tasks.until_it_breaks(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )


def models(task):
    return [model.id for model in client(task).models.list()]


tasks.serve(
    {
        "whole": whole,
        "streamed": streamed,
        "tools": tools,
        "streamed_tools": streamed_tools,
        "cut": cut,
        "models": models,
    }
)

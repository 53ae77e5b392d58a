"""The official Anthropic SDK for Python."""

import tasks
from anthropic import Anthropic

TOOLS = [
    {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]}
    for tool in tasks.TOOLS
]


def client(task):
    return Anthropic(base_url=task["base_url"], api_key=task["key"])


def asked(task, **more):
    messages = [{"role": "user", "content": task["prompt"]}]
    return {"model": task["model"], "max_tokens": 4096, "messages": messages, **more}


def told(message):
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "thinking": "".join(block.thinking for block in message.content if block.type == "thinking"),
        "calls": [
            {"id": block.id, "name": block.name, "arguments": block.input}
            for block in message.content
            if block.type == "tool_use"
        ],
        "stop": message.stop_reason,
        "usage": usage(message.usage),
    }


def usage(usage):
    cached, cache_write = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return {"input": usage.input_tokens + cached + cache_write, "cached": cached, "output": usage.output_tokens}


def whole(task):
    return told(client(task).messages.create(**asked(task)))


def streamed(task):
    with client(task).messages.stream(**asked(task)) as stream:
        text = "".join(stream.text_stream)
        message = told(stream.get_final_message())
    assert message["text"] == text, (message, text)
    return message


def round_trip(task, ask):
    request = asked(task, tools=TOOLS)
    called = ask(request)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": tasks.RESULTS[block.name]}
        for block in called.content
        if block.type == "tool_use"
    ]
    request["messages"] += [
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": results},
    ]
    return {"called": told(called), "after": told(ask(request))}


def tools(task):
    messages = client(task).messages
    return round_trip(task, lambda request: messages.create(**request))


def streamed_tools(task):
    messages = client(task).messages

    def ask(request):
        with messages.stream(**request) as stream:
            return stream.get_final_message()

    return round_trip(task, ask)


def cut(task):
    with client(task).messages.stream(**asked(task)) as stream:
        return tasks.until_it_breaks(stream.text_stream)


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

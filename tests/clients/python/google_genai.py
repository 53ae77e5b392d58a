"""The official Google GenAI SDK for Python."""

import tasks
from google import genai
from google.genai import types

TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name=tool["name"], description=tool["description"], parameters_json_schema=tool["schema"]
        )
        for tool in tasks.TOOLS
    ]
)


def client(task):
    # To be held while it is used: it closes its connections when it is collected.
    return genai.Client(api_key=task["key"], http_options=types.HttpOptions(base_url=task["base_url"]))


def asked(task):
    content = types.Content(role="user", parts=[types.Part(text=task["prompt"])])
    return {"model": task["model"], "contents": [content], "config": types.GenerateContentConfig()}


def told(parts, last):
    """What parts say, and the rest as the last response has it."""
    usage = last.usage_metadata
    return {
        "text": "".join(part.text for part in parts if part.text and not part.thought),
        "calls": [
            {"id": part.function_call.id, "name": part.function_call.name, "arguments": part.function_call.args}
            for part in parts
            if part.function_call
        ],
        "stop": last.candidates[0].finish_reason.value,
        "usage": {
            "input": usage.prompt_token_count,
            "cached": usage.cached_content_token_count or 0,
            "output": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        },
    }


def ask(task, request):
    with client(task) as gateway:
        response = gateway.models.generate_content(**request)
    return response.candidates[0].content.parts, response


def ask_streamed(task, request):
    parts, last = [], None
    with client(task) as gateway:
        for last in gateway.models.generate_content_stream(**request):
            content = last.candidates[0].content if last.candidates else None
            parts += content.parts or [] if content else []
    return parts, last


def round_trip(task, ask):
    request = asked(task)
    request["config"].tools = [TOOLS]
    parts, last = ask(task, request)
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=part.function_call.id,
                name=part.function_call.name,
                response={"result": tasks.RESULTS[part.function_call.name]},
            )
        )
        for part in parts
        if part.function_call
    ]
    request["contents"] += [types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    return {"called": told(parts, last), "after": told(*ask(task, request))}


def cut(task):
    def pieces():
        with client(task) as gateway:
            for response in gateway.models.generate_content_stream(**asked(task)):
                yield response.text or ""

    return tasks.until_it_breaks(pieces())


def models(task):
    with client(task) as gateway:
        return [model.name.removeprefix("models/") for model in gateway.models.list()]


tasks.serve(
    {
        "whole": lambda task: told(*ask(task, asked(task))),
        "streamed": lambda task: told(*ask_streamed(task, asked(task))),
        "tools": lambda task: round_trip(task, ask),
        "streamed_tools": lambda task: round_trip(task, ask_streamed),
        "cut": cut,
        "models": models,
    }
)

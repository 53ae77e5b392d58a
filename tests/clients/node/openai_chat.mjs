// The official OpenAI SDK for Node.js, on Chat Completions.

import OpenAI from "openai";
import { RESULTS, TOOLS, serve, untilItBreaks } from "./tasks.mjs";

const tools = TOOLS.map(({ name, description, schema }) => ({
  type: "function",
  function: { name, description, parameters: schema },
}));

const client = (task) => new OpenAI({ baseURL: `${task.base_url}/v1`, apiKey: task.key });

const asked = (task, more = {}) => ({
  model: task.model,
  messages: [{ role: "user", content: task.prompt }],
  ...more,
});

function told({ choices: [{ message, finish_reason }], usage }) {
  const calls = (message.tool_calls ?? []).map((call) => ({
    id: call.id,
    name: call.function.name,
    arguments: JSON.parse(call.function.arguments),
  }));
  return { text: message.content ?? "", calls, stop: finish_reason, usage: counted(usage) };
}

const counted = (usage) => ({
  input: usage.prompt_tokens,
  cached: usage.prompt_tokens_details?.cached_tokens ?? null,
  output: usage.completion_tokens,
});

async function roundTrip(task, ask) {
  const request = asked(task, { tools });
  const called = await ask(request);
  const [{ message }] = called.choices;
  const results = message.tool_calls.map((call) => ({
    role: "tool",
    tool_call_id: call.id,
    content: RESULTS[call.function.name],
  }));
  request.messages.push(message, ...results);
  return { called: told(called), after: told(await ask(request)) };
}

async function* texts(chunks) {
  for await (const chunk of chunks) for (const choice of chunk.choices) yield choice.delta.content ?? "";
}

serve({
  whole: async (task) => told(await client(task).chat.completions.create(asked(task))),

  async streamed(task) {
    const request = asked(task, { stream: true, stream_options: { include_usage: true } });
    let text = "", stop, usage;
    for await (const chunk of await client(task).chat.completions.create(request)) {
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? "";
        stop = choice.finish_reason ?? stop;
      }
      usage = chunk.usage ?? usage;
    }
    return { text, calls: [], stop, usage: counted(usage) };
  },

  tools: (task) => roundTrip(task, (request) => client(task).chat.completions.create(request)),

  streamed_tools: (task) =>
    roundTrip(task, (request) =>
      client(task)
        .chat.completions.stream({ ...request, stream_options: { include_usage: true } })
        .finalChatCompletion(),
    ),

  cut: async (task) =>
    untilItBreaks(texts(await client(task).chat.completions.create(asked(task, { stream: true })))),

  async models(task) {
    const names = [];
    for await (const model of client(task).models.list()) names.push(model.id);
    return names;
  },
});

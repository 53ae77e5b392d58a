// The official Anthropic SDK for Node.js.

import Anthropic from "@anthropic-ai/sdk";
import { RESULTS, TOOLS, serve, untilItBreaks } from "./tasks.mjs";

const tools = TOOLS.map(({ name, description, schema }) => ({ name, description, input_schema: schema }));

const client = (task) => new Anthropic({ baseURL: task.base_url, apiKey: task.key });

const asked = (task, more = {}) => ({
  model: task.model,
  max_tokens: 4096,
  messages: [{ role: "user", content: task.prompt }],
  ...more,
});

const ofType = (message, type) => message.content.filter((block) => block.type === type);

function told(message) {
  return {
    text: ofType(message, "text").map((block) => block.text).join(""),
    thinking: ofType(message, "thinking").map((block) => block.thinking).join(""),
    calls: ofType(message, "tool_use").map(({ id, name, input }) => ({ id, name, arguments: input })),
    stop: message.stop_reason,
    usage: counted(message.usage),
  };
}

function counted(usage) {
  const cached = usage.cache_read_input_tokens ?? 0;
  const input = usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0);
  return { input, cached, output: usage.output_tokens };
}

async function roundTrip(task, ask) {
  const request = asked(task, { tools });
  const called = await ask(request);
  const results = ofType(called, "tool_use").map((block) => ({
    type: "tool_result",
    tool_use_id: block.id,
    content: RESULTS[block.name],
  }));
  request.messages.push({ role: "assistant", content: called.content }, { role: "user", content: results });
  return { called: told(called), after: told(await ask(request)) };
}

async function* texts(events) {
  for await (const event of events) if (event.delta?.type === "text_delta") yield event.delta.text;
}

serve({
  whole: async (task) => told(await client(task).messages.create(asked(task))),

  streamed: async (task) => told(await client(task).messages.stream(asked(task)).finalMessage()),

  tools: (task) => roundTrip(task, (request) => client(task).messages.create(request)),

  streamed_tools: (task) => roundTrip(task, (request) => client(task).messages.stream(request).finalMessage()),

  cut: async (task) => untilItBreaks(texts(await client(task).messages.create(asked(task, { stream: true })))),

  async models(task) {
    const names = [];
    for await (const model of client(task).models.list()) names.push(model.id);
    return names;
  },
});

// The official OpenAI SDK for Node.js, on Responses.

import OpenAI from "openai";
import { RESULTS, TOOLS, serve, untilItBreaks } from "./tasks.mjs";

const tools = TOOLS.map(({ name, description, schema }) => ({
  type: "function",
  name,
  description,
  parameters: schema,
  strict: false,
}));

const client = (task) => new OpenAI({ baseURL: `${task.base_url}/v1`, apiKey: task.key });

const asked = (task, more = {}) => ({
  model: task.model,
  input: [{ role: "user", content: task.prompt }],
  ...more,
});

const callsIn = (response) => response.output.filter((item) => item.type === "function_call");

const told = (response) => ({
  text: response.output_text,
  calls: callsIn(response).map(({ call_id, name, arguments: text }) => ({
    id: call_id,
    name,
    arguments: JSON.parse(text),
  })),
  stop: response.status,
  usage: {
    input: response.usage.input_tokens,
    cached: response.usage.input_tokens_details.cached_tokens,
    output: response.usage.output_tokens,
  },
});

async function roundTrip(task, ask) {
  // As the SDK's documentation does for callers who keep the conversation themselves.
  const request = asked(task, { tools, store: false, include: ["reasoning.encrypted_content"] });
  const called = await ask(request);
  const results = callsIn(called).map(({ call_id, name }) => ({
    type: "function_call_output",
    call_id,
    output: RESULTS[name],
  }));
  request.input.push(...called.output, ...results);
  return { called: told(called), after: told(await ask(request)) };
}

async function* texts(stream) {
  for await (const event of stream) if (event.type === "response.output_text.delta") yield event.delta;
  // A failure in the middle is no exception of this SDK but a response that says so.
  const { status, error } = await stream.finalResponse();
  if (status === "failed") throw new Error(error.message);
}

serve({
  whole: async (task) => told(await client(task).responses.create(asked(task))),

  async streamed(task) {
    const stream = client(task).responses.stream(asked(task));
    let text = "";
    for await (const piece of texts(stream)) text += piece;
    const response = told(await stream.finalResponse());
    if (response.text !== text) throw new Error(`the response says ${response.text}, its pieces ${text}`);
    return response;
  },

  tools: (task) => roundTrip(task, (request) => client(task).responses.create(request)),

  streamed_tools: (task) => roundTrip(task, (request) => client(task).responses.stream(request).finalResponse()),

  cut: (task) => untilItBreaks(texts(client(task).responses.stream(asked(task)))),
});

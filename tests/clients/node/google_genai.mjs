// The official Google GenAI SDK for Node.js.

import { GoogleGenAI } from "@google/genai";
import { RESULTS, TOOLS, serve, untilItBreaks } from "./tasks.mjs";

const functionDeclarations = TOOLS.map(({ name, description, schema }) => ({
  name,
  description,
  parametersJsonSchema: schema,
}));

const models = (task) => new GoogleGenAI({ apiKey: task.key, httpOptions: { baseUrl: task.base_url } }).models;

const asked = (task, config = {}) => ({
  model: task.model,
  contents: [{ role: "user", parts: [{ text: task.prompt }] }],
  config,
});

const textOf = (parts) => parts.filter((part) => !part.thought).map((part) => part.text ?? "").join("");

const callsIn = (parts) => parts.flatMap((part) => part.functionCall ?? []);

// What parts say, and the rest as the last response has it.
const told = ([parts, { candidates, usageMetadata: usage }]) => ({
  text: textOf(parts),
  calls: callsIn(parts).map(({ id, name, args }) => ({ id, name, arguments: args })),
  stop: candidates[0].finishReason,
  usage: {
    input: usage.promptTokenCount,
    cached: usage.cachedContentTokenCount ?? 0,
    output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
  },
});

const partsOf = (response) => response.candidates?.[0]?.content?.parts ?? [];

async function ask(task, request) {
  const response = await models(task).generateContent(request);
  return [partsOf(response), response];
}

async function askStreamed(task, request) {
  const parts = [];
  let last;
  for await (last of await models(task).generateContentStream(request)) parts.push(...partsOf(last));
  return [parts, last];
}

async function roundTrip(task, ask) {
  const request = asked(task, { tools: [{ functionDeclarations }] });
  const called = await ask(task, request);
  const [parts] = called;
  const results = callsIn(parts).map(({ id, name }) => ({
    functionResponse: { id, name, response: { result: RESULTS[name] } },
  }));
  request.contents.push({ role: "model", parts }, { role: "user", parts: results });
  return { called: told(called), after: told(await ask(task, request)) };
}

async function* texts(task) {
  for await (const response of await models(task).generateContentStream(asked(task))) yield textOf(partsOf(response));
}

serve({
  whole: async (task) => told(await ask(task, asked(task))),
  streamed: async (task) => told(await askStreamed(task, asked(task))),
  tools: (task) => roundTrip(task, ask),
  streamed_tools: (task) => roundTrip(task, askStreamed),
  cut: (task) => untilItBreaks(texts(task)),

  async models(task) {
    const names = [];
    for await (const model of await models(task).list()) names.push(model.name.replace("models/", ""));
    return names;
  },
});

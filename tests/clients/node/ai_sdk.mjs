// What the AI SDK's client programs have in common: everything but the provider.

import { generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { RESULTS, TOOLS, serve, untilItBreaks } from "./tasks.mjs";

const tools = Object.fromEntries(
  TOOLS.map(({ name, description, schema }) => [
    name,
    tool({ description, inputSchema: jsonSchema(schema), execute: () => RESULTS[name] }),
  ]),
);

const told = ({ text, reasoningText, toolCalls, finishReason, usage }) => ({
  text,
  thinking: reasoningText ?? "",
  calls: toolCalls.map(({ toolCallId, toolName, input }) => ({ id: toolCallId, name: toolName, arguments: input })),
  stop: finishReason,
  usage: {
    input: usage.inputTokens,
    cached: usage.inputTokenDetails?.cacheReadTokens ?? null,
    output: usage.outputTokens,
  },
});

// The steps of a turn in which the SDK ran the tools itself.
const roundTrip = ([called, after]) => ({ called: told(called), after: told(after) });

// A stream's errors are among its parts, and are not thrown.
async function* texts({ fullStream }) {
  for await (const part of fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") yield part.text;
  }
}

// Answers tasks with the model that `model` makes for each, and with `settings` of the calls; `more` are cases that only
// some providers have.
export function serveModel(model, settings = {}, more = {}) {
  const asked = (task, rest = {}) => ({ model: model(task), prompt: task.prompt, ...settings, ...rest });
  const stream = (task, rest = {}) => streamText(asked(task, { onError() {}, ...rest }));
  const twoSteps = { tools, stopWhen: isStepCount(2) };
  serve({
    whole: async (task) => told((await generateText(asked(task))).steps[0]),

    async streamed(task) {
      const result = stream(task);
      let text = "";
      for await (const piece of texts(result)) text += piece;
      const [step] = await result.steps;
      if (step.text !== text) throw new Error(`the step says ${step.text}, its pieces ${text}`);
      return told(step);
    },

    tools: async (task) => roundTrip((await generateText(asked(task, twoSteps))).steps),

    async streamed_tools(task) {
      const result = stream(task, twoSteps);
      for await (const _ of texts(result));
      return roundTrip(await result.steps);
    },

    cut: (task) => untilItBreaks(texts(stream(task))),

    ...more,
  });
}

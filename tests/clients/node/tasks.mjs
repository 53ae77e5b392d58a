// A client program of the black-box suite: a task per line comes in, an answer per line goes out, several at once.
//
// A task names its `case`, the `base_url` and `key` of the gateway, the `model` and the `prompt`. What a case returns
// is the answer's `told`; what it throws is the answer's `raised`. The program ends when its standard input does.

import { createInterface } from "node:readline";

// What every client offers the model, in the spelling of JSON Schema.
export const TOOLS = [
  ["get_weather", "The weather", "city"],
  ["get_time", "The time", "zone"],
].map(([name, description, field]) => ({
  name,
  description,
  schema: { type: "object", properties: { [field]: { type: "string" } }, required: [field] },
}));

// What those tools say.
export const RESULTS = { get_weather: "21 °C", get_time: "9 am" };

// Answers tasks with `cases`, async functions by name that take a task.
export function serve(cases) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const task = JSON.parse(line);
    let answer;
    try {
      answer = { told: await cases[task.case](task) };
    } catch (error) {
      // The suite decides whether it should have been thrown; where it was is for people.
      console.error(error);
      answer = { raised: raised(error) };
    }
    process.stdout.write(JSON.stringify({ id: task.id, ...answer }) + "\n");
  });
}

// An error as its catcher sees it: its class, the HTTP status if it has one, and what it says.
export function raised(error) {
  const status = error.status ?? error.statusCode ?? null;
  return { class: error.constructor.name, status, message: String(error.message) };
}

// The pieces of a stream that must not look complete, and how it ended.
export async function untilItBreaks(pieces) {
  let text = "";
  try {
    for await (const piece of pieces) text += piece;
  } catch (error) {
    return { text, raised: raised(error) };
  }
  return { text, raised: null };
}

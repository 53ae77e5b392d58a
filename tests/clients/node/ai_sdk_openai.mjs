// The AI SDK with its provider for OpenAI, which speaks Responses unless told otherwise. Unless told otherwise it also
// refers to earlier items by the ids under which OpenAI would have stored them; a gateway stores nothing. It asks for the
// proof of reasoning by itself only where it knows the model by its name.

import { createOpenAI } from "@ai-sdk/openai";
import { serveModel } from "./ai_sdk.mjs";

serveModel((task) => createOpenAI({ baseURL: `${task.base_url}/v1`, apiKey: task.key })(task.model), {
  providerOptions: { openai: { store: false, include: ["reasoning.encrypted_content"] } },
});

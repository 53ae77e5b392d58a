// The AI SDK with its provider for OpenAI-compatible endpoints. It checks what it reads against a schema.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { serveModel } from "./ai_sdk.mjs";

serveModel((task) => {
  const gateway = { name: "gateway", baseURL: `${task.base_url}/v1`, apiKey: task.key, includeUsage: true };
  return createOpenAICompatible(gateway)(task.model);
});

// The AI SDK with its provider for Gemini, which takes a name with a slash for a path.

import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { serveModel } from "./ai_sdk.mjs";

serveModel((task) => {
  const gateway = { baseURL: `${task.base_url}/v1beta`, apiKey: task.key };
  return createGoogleGenerativeAI(gateway)(`models/${task.model}`);
});

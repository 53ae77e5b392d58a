// The AI SDK with its provider for Gemini.

import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { serveModel } from "./ai_sdk.mjs";

serveModel((task) => createGoogleGenerativeAI({ baseURL: `${task.base_url}/v1beta`, apiKey: task.key })(task.model));

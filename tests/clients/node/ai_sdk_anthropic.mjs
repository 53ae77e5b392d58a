// The AI SDK with its provider for Anthropic, whose base URL ends in the version.

import { createAnthropic } from "@ai-sdk/anthropic";
import { serveModel } from "./ai_sdk.mjs";

serveModel((task) => createAnthropic({ baseURL: `${task.base_url}/v1`, apiKey: task.key })(task.model));

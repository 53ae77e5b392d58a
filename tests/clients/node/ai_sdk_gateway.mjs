// The AI SDK with its own gateway provider, which speaks the SDK's own protocol to any base URL.

import { createGateway } from "@ai-sdk/gateway";
import { serveModel } from "./ai_sdk.mjs";

const gateway = (task) => createGateway({ baseURL: `${task.base_url}/v4/ai`, apiKey: task.key });

const models = async (task) => (await gateway(task).getAvailableModels()).models.map(({ id }) => id);

serveModel((task) => gateway(task)(task.model), {}, { models });

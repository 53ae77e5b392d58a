// The Worker's main module: hands workerd's calls to Rust, and outlives a panic there.
// After a panic index.js goes on with a new instance. What was in flight is lost, and objects of the old instance
// fail, so nothing here may keep one.

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import * as rust from "./index.js";

Error.stackTraceLimit = 100;

export default class Tollgate extends WorkerEntrypoint {
  // Run to completion: when the client leaves early, workerd would stop polling the future without dropping it,
  // which leaks its memory and leaves its admission open.
  fetch(request) {
    const reply = rust.fetch(request, this.env, this.ctx);
    this.ctx.waitUntil(reply);
    return reply;
  }
}

const { scheduled } = rust;
if (scheduled) {
  Tollgate.prototype.scheduled = function (event) {
    return scheduled(event, this.env, this.ctx);
  };
}

export class Counters extends DurableObject {
  #rust;
  #instance;

  // workerd keeps this object while it is in use; the Rust one in it lives no longer than its instance.
  fetch(request) {
    const { instanceId } = rust.__worker_init_state();
    if (this.#instance !== instanceId) {
      this.#rust = new rust.Counters(this.ctx, this.env);
      this.#instance = instanceId;
    }
    return this.#rust.fetch(request);
  }
}

// The Worker's main module: hands workerd's calls to Rust, and outlives a panic there.
// After a panic the glue in index.js makes a new instance at the next call into it. Requests in flight are lost;
// nothing may keep an object of the old instance.

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

if ("scheduled" in rust) {
  Tollgate.prototype.scheduled = function (event) {
    return rust.scheduled(event, this.env, this.ctx);
  };
}

export class Counters extends DurableObject {
  #rust;
  #instance;

  // workerd keeps this object for as long as it is in use, the Rust one in it only lives as long as its instance.
  // Asking for the state is a call into Rust, so it also makes the new instance when one is due.
  fetch(request) {
    const { instanceId } = rust.__worker_init_state();
    if (this.#instance !== instanceId) {
      this.#rust = new rust.Counters(this.ctx, this.env);
      this.#instance = instanceId;
    }
    return this.#rust.fetch(request);
  }
}

// What the Workers host does in JavaScript because it is cheaper there: heads in one crossing of the boundary, and
// the pump of a streamed reply, which crosses it once per chunk.

// Every header as "name\nvalue\nname\nvalue"; names are in lower case, values hold no line break.
export const pairs = (headers) => [...headers].flat().join("\n");

function headers(text) {
  const made = new Headers();
  const lines = text.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) made.append(lines[i], lines[i + 1]);
  return made;
}

export const reply = (status, head, body) => new Response(body, { status, headers: headers(head) });

export const random = () => crypto.getRandomValues(new BigUint64Array(1))[0];

// `caller` aborts when the caller hangs up, `attempt` when Rust gives the attempt up. A redirect is an answer:
// a credential goes to no other host than the one it was meant for.
export const send = (method, url, head, body, caller, attempt) =>
  fetch(url, {
    method,
    headers: headers(head),
    body: method === "GET" ? undefined : body, // which a GET may not have, not even empty
    signal: AbortSignal.any([caller, attempt]),
    redirect: "manual",
  });

const ecdsa = (namedCurve, hash) => ({ name: "ECDSA", namedCurve, hash });
const rs256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const algorithms = {
  "P-256 SHA-256": ecdsa("P-256", "SHA-256"),
  "P-384 SHA-256": ecdsa("P-384", "SHA-256"),
  "P-384 SHA-384": ecdsa("P-384", "SHA-384"),
  RS256: rs256,
  Ed25519: { name: "Ed25519" },
};

// Whether a signature is good, of the forms that `proof.rs` has. What is looked at after the first wait is copied, as in `say`.
export async function verify(name, key, message, signature) {
  const algorithm = algorithms[name];
  const [said, own] = [message.slice(), signature.slice()];
  const form = algorithm === rs256 ? ["jwk", { kty: "RSA", n: base64url(key), e: "AQAB" }] : ["raw", key];
  const imported = await crypto.subtle.importKey(...form, algorithm, false, ["verify"]);
  return crypto.subtle.verify(algorithm, imported, own, said);
}

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// An ArrayBuffer, by an RSA key in PKCS #8.
export async function sign(key, message) {
  const said = message.slice();
  const imported = await crypto.subtle.importKey("pkcs8", key, rs256, false, ["sign"]);
  return crypto.subtle.sign(rs256, imported, said);
}

// The whole body, or undefined when it is longer than `max`.
export async function whole(body, max) {
  const reader = body.getReader({ mode: "byob" });
  let held = new Uint8Array(65536);
  let length = 0;
  for (;;) {
    const free = held.length - length;
    const { value, done } = await reader.readAtLeast(free, new Uint8Array(free));
    if (value) {
      held.set(value, length);
      length += value.length;
    }
    if (length > max) return void reader.cancel().catch(() => {});
    if (done) return held.subarray(0, length);
    if (length === held.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(held);
      held = larger;
    }
  }
}

export const reader = (body) => body.getReader();

// The next chunk, or undefined at the end.
export const read = async (reader) => (await reader.read()).value;

// The body of a reply whose bytes are yet to come.
export function open() {
  const { readable, writable } = new IdentityTransformStream();
  return { readable, writer: writable.getWriter() };
}

// Fails when the caller has gone. Copies, since the memory that `bytes` looks into may have moved when they are read.
export const say = ({ writer }, bytes) => writer.write(bytes.slice());

export const close = ({ writer }) => writer.close().catch(() => {});

// Tables and KV, in texts only: what else JavaScript has would need code to be read in Rust. `values` is a JSON list of
// texts; so is each row, and the rows are a JSON list of them.
export const rows = (sql, query, values) => JSON.stringify([...sql.exec(query, ...JSON.parse(values)).raw()]);

// An ArrayBuffer or null, not older than `seconds`, which are at least 30, as far as KV says.
export const kept = (namespace, key, seconds) => namespace.get(key, { type: "arrayBuffer", cacheTtl: seconds });

export const keep = (namespace, key, value, seconds) => namespace.put(key, value, { expirationTtl: seconds });

// All keys that begin with `prefix`, but for those that end in `except`, each followed by what it holds: a JSON list of texts.
export async function texts(namespace, prefix, except) {
  const texts = [];
  let cursor;
  do {
    const page = await namespace.list({ prefix, cursor });
    const names = page.keys.map(({ name }) => name).filter((name) => !name.endsWith(except));
    while (names.length) {
      const some = await namespace.get(names.splice(0, 100)); // what one bulk read may ask for
      texts.push(...[...some].filter(([, text]) => text !== null).flat());
    }
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return JSON.stringify(texts);
}

// Passes the rest of an upstream's body through `relay` (the Rust class) to the caller. Takes the relay: `settle`
// frees it.
export async function pump(reader, caller, relay, { writer }) {
  let end = "closed";
  let reading = false;
  let stalled = 0; // ms since the last chunk in which we waited for the caller: that is not the upstream's silence
  let timer;

  const cancel = () => reader.cancel().catch(() => {});
  const stop = (how) => {
    end = how;
    cancel();
  };
  const hangup = () => stop("hangup");
  const put = (bytes) => bytes.length && writer.write(bytes).catch(hangup);
  // A read that `cancel` interrupts fails too, but then the end is known already.
  const next = () =>
    reader.read().catch(() => {
      if (end === "closed") end = caller.aborted ? "hangup" : "broken";
      return { done: true };
    });
  // One timer for the whole stream: when it rings early, because chunks came, it is set again.
  const watch = () => {
    try {
      const now = Date.now() - stalled;
      const beat = reading ? relay.tick(now) : "";
      if (beat === undefined) return stop("idle");
      put(beat);
      timer = setTimeout(watch, Math.min(Math.max(relay.wake() - now, 1), 0x7fffffff));
    } catch {
      cancel(); // a panic elsewhere took the relay; the loop below finds that out by itself
    }
  };

  try {
    caller.addEventListener("abort", hangup);
    if (caller.aborted) hangup();
    watch();
    await put(relay.held());
    while (end === "closed" && !relay.over) {
      reading = true;
      const { value, done } = await next();
      reading = false;
      if (done) break;
      stalled = 0;
      const out = relay.feed(value) ?? value;
      const began = Date.now();
      await put(out);
      stalled = Date.now() - began;
    }
    clearTimeout(timer);
    caller.removeEventListener("abort", hangup);
    await put(relay.finish(end));
    const settled = relay.settle();
    await writer.close().catch(() => {});
    cancel();
    await settled;
  } catch (fault) {
    // Only a Rust panic comes here. The caller must not take what it has for the whole.
    clearTimeout(timer);
    cancel();
    writer.abort(fault).catch(() => {});
    throw fault;
  }
}

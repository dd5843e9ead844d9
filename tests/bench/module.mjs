// What a decision takes inside V8, compiled as Envoy compiles it, with a host that answers at once.
//
//   node --no-liftoff module.mjs gatelet.wasm configuration.json
//
// Prints, as JSON, microseconds for each kind of request, remembered and not, and the module's memory
// in bytes once it remembers as much as it may. What the host takes itself is in the figures.

import { readFileSync } from "node:fs";

const REQUESTS = 4000;
const ROUNDS = 9;

const [modulePath, configurationPath] = process.argv.slice(2);
const configuration = readFileSync(configurationPath);
const encode = (text) => new TextEncoder().encode(text);

// WasmResult of proxy-wasm 0.2.1.
const OK = 0;
const NOT_FOUND = 1;

const properties = {
  "connection_id": new Uint8Array(8),
  "connection\0mtls": new Uint8Array([1]),
  "connection\0subject_peer_certificate":
    encode("CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"),
  "connection\0sha256_peer_certificate_digest": encode("0".repeat(64)),
};

let module;
let headers;
let status;
let metrics = 0;

const view = () => new DataView(module.memory.buffer);
const bytes = (at, length) => new Uint8Array(module.memory.buffer, at, length);
const text = (at, length) => new TextDecoder().decode(bytes(at, length));

function give(data, at, length) {
  const copy = module.proxy_on_memory_allocate(data.length);
  bytes(copy, data.length).set(data);
  view().setUint32(at, copy, true);
  view().setUint32(length, data.length, true);
  return OK;
}

const env = {
  proxy_get_buffer_bytes: (_type, start, most, at, length) =>
    give(configuration.subarray(start, start + (most >>> 0)), at, length),
  proxy_get_header_map_pairs: (_type, at, length) => give(headers, at, length),
  proxy_get_property(path, pathLength, at, length) {
    const value = properties[text(path, pathLength)];
    return value ? give(value, at, length) : NOT_FOUND;
  },
  proxy_get_current_time_nanoseconds(to) {
    view().setBigUint64(to, 1767225600000000000n, true);
    return OK;
  },
  proxy_define_metric(_type, _name, _length, to) {
    view().setUint32(to, metrics++, true);
    return OK;
  },
  proxy_get_shared_data: () => NOT_FOUND,
  proxy_log(level, at, length) {
    if (level > 2) console.error(text(at, length));
    return OK;
  },
  proxy_send_local_response(code) {
    status = code;
    return OK;
  },
};

const wasi_snapshot_preview1 = {
  clock_time_get(_id, _precision, to) {
    view().setBigUint64(to, process.hrtime.bigint(), true);
    return 0;
  },
  random_get(at, length) {
    crypto.getRandomValues(bytes(at, length));
    return 0;
  },
  environ_sizes_get(count, size) {
    view().setUint32(count, 0, true);
    view().setUint32(size, 0, true);
    return 0;
  },
};

/** Header lines as proxy-wasm has them: their number, all lengths, all texts. */
function pairs(lines) {
  const parts = lines.flat().map(encode);
  const size = parts.reduce((sum, part) => sum + 4 + part.length + 1, 4);
  const data = new Uint8Array(size);
  const to = new DataView(data.buffer);
  to.setUint32(0, lines.length, true);
  parts.forEach((part, index) => to.setUint32(4 + 4 * index, part.length, true));
  let at = 4 + 4 * parts.length;
  for (const part of parts) {
    data.set(part, at);
    at += part.length + 1;
  }
  return data;
}

const always = [
  [":authority", "worker-1:10250"],
  ["user-agent", "kube-apiserver/v1.36.2 (linux/amd64) kubernetes/0000000"],
  ["accept-encoding", "gzip"],
  ["x-forwarded-proto", "https"],
];
const upgrade = [
  ["connection", "Upgrade"],
  ["upgrade", "SPDY/3.1"],
  ["x-stream-protocol-version", "v4.channel.k8s.io"],
];
const request = (method, path, ...more) =>
  pairs([[":method", method], [":path", path], ...always, ...more]);

const kinds = {
  containerLogs: {
    want: 200,
    make: (pod) => request("GET", `/containerLogs/default/web-${pod}/app?tailLines=10`),
  },
  exec: {
    want: 200,
    make: (pod) =>
      request("POST", `/exec/default/web-${pod}/app?command=id&error=1&output=1`, ...upgrade),
  },
  denied: {
    want: 403,
    make: (pod) => request("GET", `/containerLogs/kube-system/web-${pod}/app?tailLines=10`),
  },
  malformed: {
    want: 400,
    make: (pod) => request("GET", `/containerLogs/default/web-${pod}/../app`),
  },
};

function load() {
  const compiled = new WebAssembly.Module(readFileSync(modulePath));
  const imports = { env: {}, wasi_snapshot_preview1: {} };
  for (const { module: from, name } of WebAssembly.Module.imports(compiled)) {
    imports[from][name] = { env, wasi_snapshot_preview1 }[from][name] ?? (() => OK);
  }
  module = new WebAssembly.Instance(compiled, imports).exports;
  module._initialize();
  module.proxy_on_context_create(1, 0);
  module.proxy_on_vm_start(1, 0);
  if (!module.proxy_on_configure(1, configuration.length)) {
    throw new Error("the configuration is refused");
  }
}

let context = 1;

function ask() {
  status = 200;
  module.proxy_on_context_create(++context, 1);
  module.proxy_on_request_headers(context, 0, 1);
  module.proxy_on_delete(context);
}

/** The least microseconds that one of `REQUESTS` took, of all rounds. */
function least({ want, make }, isRemembered) {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const all = Array.from({ length: REQUESTS }, (_, index) =>
      make(isRemembered ? 0 : 1 + round * REQUESTS + index),
    );
    const begin = process.hrtime.bigint();
    for (headers of all) {
      ask();
      if (status !== want) throw new Error(`${status} instead of ${want}`);
    }
    least = Math.min(least, Number(process.hrtime.bigint() - begin) / 1000 / REQUESTS);
  }
  return least;
}

load();
const rows = Object.entries(kinds).map(([name, kind]) => ({
  name,
  remembered: least(kind, true),
  first: least(kind, false),
}));
console.log(JSON.stringify({ rows, memory: module.memory.buffer.byteLength }));

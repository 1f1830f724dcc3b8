// The Open Inference Protocol from a browser: JSON control, inference in the binary tensor form.

const LENGTH = "inference-header-content-length";
const READERS = {
  FP32: Float32Array, FP64: Float64Array, INT8: Int8Array, INT16: Int16Array, INT32: Int32Array, INT64: BigInt64Array,
  UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, UINT64: BigUint64Array, BOOL: Uint8Array,
};

export const get = async (path) => (await exchange(path, {})).json();

export async function post(path, document) {
  const headers = { "content-type": "application/json" };
  return (await exchange(path, { method: "POST", headers, body: JSON.stringify(document) })).json();
}

// Send BYTES elements (Uint8Arrays) as one input; return the outputs by name: strings for BYTES, else typed arrays.
export async function infer(model, input, shape, elements) {
  const raw = encodeBytes(elements);
  const head = new TextEncoder().encode(JSON.stringify({
    inputs: [{ name: input, datatype: "BYTES", shape, parameters: { binary_data_size: raw.length } }],
    parameters: { binary_data_output: true },
  }));
  const response = await exchange(`/v2/models/${encodeURIComponent(model)}/infer`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", [LENGTH]: String(head.length) },
    body: new Blob([head, raw]),
  });
  return decode(await response.arrayBuffer(), Number(response.headers.get(LENGTH)));
}

// Ask OpenAI's way for a stream; yield its documents as they come. `signal` aborts it.
export async function* stream(path, document, signal) {
  const headers = { "content-type": "application/json" };
  const response = await exchange(path, { method: "POST", headers, body: JSON.stringify(document), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (held + value).split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.slice(event.indexOf("data: ") + 6);
      if (data === "[DONE]") return;
      const told = JSON.parse(data);
      if (told.error) throw new Error(told.error.message);
      yield told;
    }
  }
}

async function exchange(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Error(told.error?.message || told.error || `the server answered ${response.status}`);
}

function encodeBytes(elements) {
  const raw = new Uint8Array(elements.reduce((sum, element) => sum + 4 + element.length, 0));
  const view = new DataView(raw.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    raw.set(element, at + 4);
    at += 4 + element.length;
  }
  return raw;
}

function decode(content, headLength) {
  const text = new TextDecoder();
  const document = JSON.parse(text.decode(new Uint8Array(content, 0, headLength || content.byteLength)));
  const outputs = {};
  let at = headLength;
  for (const { name, datatype, data, parameters } of document.outputs) {
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      outputs[name] = data;
      continue;
    }
    const part = content.slice(at, at + size);
    outputs[name] = datatype === "BYTES" ? decodeBytes(part, text) : new READERS[datatype](part);
    at += size;
  }
  return outputs;
}

function decodeBytes(part, text) {
  const view = new DataView(part);
  const elements = [];
  for (let at = 0; at < part.byteLength; ) {
    const length = view.getUint32(at, true);
    elements.push(text.decode(new Uint8Array(part, at + 4, length)));
    at += 4 + length;
  }
  return elements;
}

// OpenAI's client for Node against a Weir proxy: run.py starts the servers and sets WEIR_URL.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import test from "node:test";

const { default: OpenAI, toFile } = createRequire(process.env.WEIR_NODE_MODULES + "/")("openai");

const baseURL = process.env.WEIR_URL + "/v1";
const hello = "\n\nHello there, how may I assist you today?";
const messages = [{ role: "user", content: "Hello" }];
const model = "gpt-4o";
const tools = [{
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
}];

const client = (apiKey = "sk-free", maxRetries = 0) => new OpenAI({ apiKey, baseURL, maxRetries });

// A request's metadata that makes the fake server answer as `step` says.
const scripted = (step) => ({ fake: JSON.stringify(step) });

const ask = (options = {}, key = "sk-free") => client(key).chat.completions.create({ model, messages, ...options });

test("an answer", async () => {
  const answer = await ask();
  assert.equal(answer.choices[0].message.content, hello);
  assert.equal(answer.usage.total_tokens, 21);
});

test("fifty at once", async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask()));
  assert.ok(answers.every((answer) => answer.choices[0].message.content === hello));
});

test("a stream, with and without usage", async () => {
  let text = "";
  for await (const chunk of await ask({ stream: true })) {
    assert.equal(chunk.choices.length, 1);
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text.slice(0, hello.length), hello);
  let last;
  for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) last = chunk;
  assert.equal(last.usage.total_tokens, 21);
});

test("a stream that is left early", async () => {
  const stream = await ask({ stream: true, metadata: scripted({ event_delay_ms: 50, tokens: [9, 1000] }) });
  for await (const chunk of stream) {
    assert.ok(chunk);
    break;
  }
  assert.equal((await ask()).usage.total_tokens, 21);
});

test("tools there and back", async () => {
  const echoed = await client().chat.completions
    .create({ model, messages, tools, metadata: scripted({ echo: true }) }).asResponse();
  assert.deepEqual(JSON.parse((await echoed.json()).body).tools, tools);
  const call = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Ulm"}' } };
  const body = {
    id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m",
    choices: [{ index: 0, finish_reason: "tool_calls", message: { role: "assistant", content: null, tool_calls: [call] } }],
  };
  const answer = await ask({ tools, metadata: scripted({ body }) });
  assert.deepEqual(answer.choices[0].message.tool_calls, [call]);
});

test("embeddings, responses, models, forms and bytes", async () => {
  const weir = client();
  const embedded = await weir.embeddings.create({
    model: "text-embedding-3-small", input: "Hello", encoding_format: "float",
  });
  assert.deepEqual(embedded.data[0].embedding, [0.25, -0.5, 0.125]);
  assert.equal((await weir.responses.create({ model, input: "Hello" })).output_text, hello);
  const names = [];
  for await (const entry of weir.models.list()) names.push(entry.id);
  assert.deepEqual(names.sort(), ["gpt-4o", "text-embedding-3-small"]);
  const file = await toFile(Buffer.from("RIFF\0\u0001\r\n--x"), "a.wav");
  assert.equal((await weir.audio.transcriptions.create({ model, file })).text, hello);
  const speech = await weir.audio.speech.create({ model, voice: "alloy", input: "Hello" });
  const bytes = Buffer.from(await speech.arrayBuffer());
  assert.deepEqual(bytes, Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255)));
});

test("errors have their classes", async () => {
  await assert.rejects(ask({}, "sk-wrong"), OpenAI.AuthenticationError);
  await assert.rejects(ask({}, "sk-embeddings-only"), OpenAI.PermissionDeniedError);
  await assert.rejects(ask({ model: "no-such-model" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.type, error.param, error.code], ["invalid_request_error", "model", "400"]);
    return true;
  });
  await assert.rejects(client().models.retrieve("no-such-model"), OpenAI.NotFoundError);
  await assert.rejects(ask({ metadata: scripted({ status: 500 }) }), OpenAI.InternalServerError);
});

test("headers of an answer", async () => {
  const { data, response } = await client().chat.completions.create({ model, messages }).withResponse();
  assert.equal(data.usage.total_tokens, 21);
  assert.equal(response.headers.get("x-litellm-model-id"), "clients-chat");
  assert.equal(response.headers.get("x-ratelimit-limit-requests"), "100000");
});

test("a 429 says when to come back, and the client's retry heeds it", async () => {
  const key = "sk-two-a-window-for-node";
  await assert.rejects(Promise.all([ask({}, key), ask({}, key), ask({}, key)]), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.type, "throttling_error");
    assert.ok(Number(error.headers.get("retry-after-ms")) > 0);
    assert.ok(Number(error.headers.get("retry-after")) >= 1);
    return true;
  });
  const patient = client(key, 4);
  const began = performance.now();
  for (let i = 0; i < 5; ++i) {
    assert.equal((await patient.chat.completions.create({ model, messages })).usage.total_tokens, 21);
  }
  assert.ok(performance.now() - began > 3900);
});

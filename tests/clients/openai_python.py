"""OpenAI's Python client against a Weir proxy: run.py starts the servers and sets WEIR_URL.

The upstream is weir-fake-server; `metadata.fake` in a body scripts its answer to that request.
"""
import asyncio
import json
import os
import sys
import time
import unittest

import openai

URL = os.environ["WEIR_URL"] + "/v1"
HELLO = "\n\nHello there, how may I assist you today?"
QUESTION = [{"role": "user", "content": "Hello"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}


def client(key="sk-free", **options):
    return openai.OpenAI(api_key=key, base_url=URL, **{"max_retries": 0, **options})


def scripted(**step):
    """A request's metadata that makes the fake server answer as `step` says."""
    return {"fake": json.dumps(step)}


class Chat(unittest.TestCase):
    def test_answer(self):
        answer = client().chat.completions.create(model="gpt-4o", messages=QUESTION, temperature=0.5)
        self.assertEqual(answer.choices[0].message.content, HELLO)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, 21)

    def test_stream(self):
        chunks = list(client().chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text[:len(HELLO)], HELLO)
        # The proxy asks for the usage on its own account; a client that did not never sees it.
        self.assertTrue(all(chunk.choices for chunk in chunks))
        self.assertTrue(all(getattr(chunk, "usage", None) is None for chunk in chunks))

    def test_stream_with_usage(self):
        chunks = list(client().chat.completions.create(
            model="gpt-4o", messages=QUESTION, stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.total_tokens, 21)

    def test_stream_left_early(self):
        weir = client()
        slow = scripted(event_delay_ms=50, tokens=[9, 1000])
        stream = weir.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True, metadata=slow)
        with stream:
            next(iter(stream))
        again = weir.chat.completions.create(model="gpt-4o", messages=QUESTION)
        self.assertEqual(again.usage.total_tokens, 21)

    def test_many_at_once(self):
        async def ask_all():
            async with openai.AsyncOpenAI(api_key="sk-free", base_url=URL, max_retries=0) as weir:
                asked = [weir.chat.completions.create(model="gpt-4o", messages=QUESTION) for _ in range(50)]
                return await asyncio.gather(*asked)
        self.assertEqual([a.choices[0].message.content for a in asyncio.run(ask_all())], [HELLO] * 50)

    def test_async_stream(self):
        async def read():
            async with openai.AsyncOpenAI(api_key="sk-free", base_url=URL, max_retries=0) as weir:
                stream = await weir.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        self.assertEqual(asyncio.run(read())[:len(HELLO)], HELLO)


class Tools(unittest.TestCase):
    def test_tools_reach_the_upstream(self):
        raw = client().chat.completions.with_raw_response.create(
            model="gpt-4o", messages=QUESTION, tools=[WEATHER], tool_choice="auto",
            metadata=scripted(echo=True))
        arrived = json.loads(json.loads(raw.text)["body"])
        self.assertEqual(arrived["tools"], [WEATHER])
        self.assertEqual(arrived["tool_choice"], "auto")
        self.assertEqual(arrived["model"], "upstream-model")

    def test_tool_calls_come_back(self):
        call = {"id": "call_1", "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Ulm"}'}}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "finish_reason": "tool_calls",
             "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
        answer = client().chat.completions.create(model="gpt-4o", messages=QUESTION, tools=[WEATHER],
                                                  metadata=scripted(body=body))
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        called = answer.choices[0].message.tool_calls[0].function
        self.assertEqual((called.name, json.loads(called.arguments)), ("get_weather", {"city": "Ulm"}))


class OtherEndpoints(unittest.TestCase):
    def test_embeddings(self):
        answer = client().embeddings.create(model="text-embedding-3-small", input="Hello")
        self.assertEqual(answer.data[0].embedding, [0.25, -0.5, 0.125])

    def test_completions(self):
        answer = client().completions.create(model="gpt-4o", prompt="Hello")
        self.assertEqual(answer.choices[0].text, HELLO)

    def test_responses(self):
        self.assertEqual(client().responses.create(model="gpt-4o", input="Hello").output_text, HELLO)

    def test_moderations(self):
        self.assertFalse(client().moderations.create(model="gpt-4o", input="Hello").results[0].flagged)

    def test_form_in_and_bytes_out(self):
        text = client().audio.transcriptions.create(model="gpt-4o", file=("a.wav", b"RIFF\0\1\2\r\n--x"))
        self.assertEqual(text.text, HELLO)
        speech = client().audio.speech.create(model="gpt-4o", voice="alloy", input="Hello").content
        self.assertEqual(speech, bytes(range(256)) * 4)

    def test_models(self):
        names = {model.id for model in client().models.list()}
        self.assertEqual(names, {"gpt-4o", "text-embedding-3-small"})
        self.assertEqual(client().models.retrieve("gpt-4o").id, "gpt-4o")


class Errors(unittest.TestCase):
    def ask(self, key="sk-free", model="gpt-4o", **more):
        return client(key).chat.completions.create(model=model, messages=QUESTION, **more)

    def test_wrong_key(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.ask(key="sk-wrong")
        self.assertEqual(caught.exception.status_code, 401)
        self.assertNotIn("sk-wrong", str(caught.exception))

    def test_model_not_allowed(self):
        with self.assertRaises(openai.PermissionDeniedError) as caught:
            self.ask(key="sk-embeddings-only")
        self.assertEqual(caught.exception.type, "key_model_access_denied")

    def test_unknown_model(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(model="no-such-model")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertEqual(caught.exception.param, "model")
        self.assertEqual(caught.exception.code, "400")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("no-such-model")

    def test_upstream_says_no(self):
        error = {"error": {"message": "no such voice", "type": "invalid_request_error",
                           "param": "voice", "code": "v1"}}
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(metadata=scripted(status=400, body=error))
        self.assertEqual((caught.exception.param, caught.exception.code), ("voice", "v1"))

    def test_upstream_fails(self):
        with self.assertRaises(openai.InternalServerError):
            self.ask(metadata=scripted(status=500))

    def test_stream_breaks(self):
        with self.assertRaises(openai.APIError) as caught:
            list(self.ask(stream=True, metadata=scripted(cut_after_events=3)))
        self.assertNotIsInstance(caught.exception, openai.APIStatusError)  # it came in the stream


class Limits(unittest.TestCase):
    def test_raw_headers(self):
        raw = client().chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION,
                                                                 extra_headers={"x-request-id": "mine-1"})
        self.assertEqual(raw.headers["x-request-id"], "mine-1")
        self.assertEqual(raw.headers["x-litellm-model-id"], "clients-chat")
        self.assertEqual(raw.headers["x-ratelimit-limit-requests"], "100000")
        self.assertLess(int(raw.headers["x-ratelimit-remaining-requests"]), 100000)
        self.assertRegex(raw.headers["x-ratelimit-reset-requests"], r"^[0-9.hm]+s$")
        self.assertEqual(raw.parse().usage.total_tokens, 21)
        self.assertEqual(raw.http_response.request.headers["authorization"], "Bearer sk-free")

    def test_too_many(self):
        weir = client("sk-two-a-window")
        with self.assertRaises(openai.RateLimitError) as caught:
            for _ in range(3):
                weir.chat.completions.create(model="gpt-4o", messages=QUESTION)
        error = caught.exception
        self.assertEqual((error.status_code, error.type, error.code), (429, "throttling_error", "429"))
        wait_ms = float(error.response.headers["retry-after-ms"])
        self.assertGreater(wait_ms, 0)
        self.assertLessEqual(wait_ms, 1000 * float(error.response.headers["retry-after"]))
        self.assertIn("two-a-window", str(error))

    def test_retry_heeds_our_wait(self):
        """Five requests at two in a window of 2 s take two windows more, and none of them fails."""
        weir = client("sk-two-a-window", max_retries=4)
        began = time.monotonic()
        answers = [weir.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
                   for _ in range(5)]
        self.assertTrue(all(answer.status_code == 200 for answer in answers))
        self.assertGreaterEqual(time.monotonic() - began, 3.9)
        # Told when to come back, the client comes back about once for each window: it does not guess.
        self.assertIn(sum(answer.retries_taken for answer in answers), (2, 3))


if __name__ == "__main__":
    print(f"openai-python {openai.__version__}", file=sys.stderr)
    unittest.main()

"""LiteLLM's own Router with two Weir proxies as its deployments: run.py starts them and sets WEIR_URLS.

The proxies share two deployments of 100 requests a minute, so of 600 requests at once 200 pass, whichever
proxy the Router sends them to. The Router's cooldowns are off: they would keep it from asking.
"""
import asyncio
import collections
import os
import unittest
import uuid

import litellm
from litellm import Router

litellm.suppress_debug_info = True
URLS = os.environ["WEIR_URLS"].split(",")


def router():
    proxies = [{"model_name": "fake-openai-endpoint",
                "litellm_params": {"model": "openai/fake-openai-endpoint", "api_base": url + "/v1",
                                   "api_key": "sk-1234", "max_retries": 0}} for url in URLS]
    return Router(model_list=proxies, num_retries=0, disable_cooldowns=True)


def question(text="Hello"):
    return {"model": "fake-openai-endpoint", "messages": [{"role": "user", "content": text}]}


class LiteLLMRouter(unittest.TestCase):
    def test_1_answer_stream_and_limit(self):
        asyncio.run(self.ask_all())

    async def ask_all(self):
        routed = router()
        answer = await routed.acompletion(**question())
        self.assertEqual(answer.choices[0].message.content, "\n\nHello there, how may I assist you today?")
        self.assertEqual(answer.usage.total_tokens, 21)
        stream = await routed.acompletion(stream=True, **question())
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        self.assertIn("Hello there", text)

        async def ask():
            try:
                await routed.acompletion(**question(f"This is a test: {uuid.uuid4()}"))
                return "answered"
            except Exception as error:
                return type(error).__name__
        results = collections.Counter(await asyncio.gather(*[ask() for _ in range(600)]))
        print(dict(results))
        # Two requests were spent above; everything else is refused as a rate limit, and nothing fails.
        self.assertEqual(results, {"answered": 198, "RateLimitError": 402})


if __name__ == "__main__":
    unittest.main()

"""The published load test for several proxies, its spacing mended: batches of 600 concurrent requests, each
sent to one of two proxies at random, and a pause of 10 s after each batch. Prints for each batch how many
requests there were, how many seconds they took, and how many of them were answered.

    python3 test_loadtest_proxy.py [BATCHES [PORT PORT]]      10 batches to ports 4000 and 4001 by default
"""
import asyncio
import datetime
import random
import sys
import time
import uuid

from openai import AsyncOpenAI

batches = int(sys.argv[1]) if len(sys.argv) > 1 else 10
ports = [int(port) for port in sys.argv[2:4]] or [4000, 4001]

litellm_client = AsyncOpenAI(api_key="sk-1234", base_url=f"http://0.0.0.0:{ports[0]}")
litellm_client_2 = AsyncOpenAI(api_key="sk-1234", base_url=f"http://0.0.0.0:{ports[1]}")


async def proxy_completion_non_streaming():
    try:
        client = random.sample([litellm_client, litellm_client_2], 1)[0]  # randomly pick between the clients
        return await client.chat.completions.create(
            model="fake-openai-endpoint",
            messages=[{"role": "user", "content": f"This is a test: {uuid.uuid4()}"}],
        )
    except Exception:
        return None


async def loadtest_fn():
    start = time.time()
    n = 600  # number of concurrent tasks
    tasks = [proxy_completion_non_streaming() for _ in range(n)]
    chat_completions = await asyncio.gather(*tasks)
    successful_completions = [c for c in chat_completions if c is not None]
    print(n, time.time() - start, len(successful_completions), flush=True)


async def parent_fn():
    for _ in range(batches):
        current_minute = datetime.datetime.now(datetime.timezone.utc).strftime("%H-%M")
        print(f"triggered new batch - {current_minute}", flush=True)
        await loadtest_fn()
        await asyncio.sleep(10)


asyncio.run(parent_fn())

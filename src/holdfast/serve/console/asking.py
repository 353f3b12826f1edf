"""Questions of a page that may take long: what does not come is said on it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from holdfast.errors import HoldfastError
from holdfast.serve.ui.integrity import Lacking

Answer = TypeVar("Answer")


async def in_time(seconds: float, question: Awaitable[Answer]) -> Answer | Lacking:
    """The answer, or why there is none."""
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError:
        return Lacking(f"no answer within {seconds:g} s")
    except HoldfastError as error:
        return Lacking(str(error))

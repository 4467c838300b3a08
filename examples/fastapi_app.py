"""Smoothing inside a FastAPI application: its own HTTP interface beside the stream.

pip install fastapi uvicorn
STREAM_EWMA_CONFIG=stream-ewma.yaml uvicorn fastapi_app:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from stream_ewma import Smoother, load_settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Smooth as long as the application runs."""
    async with Smoother(load_settings()) as app.state.smoother:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/sensors/{name}")
async def sensor(name: str) -> dict[str, object]:
    """The smoothed value of a sensor, this moment."""
    found = await app.state.smoother.get(name)
    if found is None:
        raise HTTPException(404, "no such sensor here")
    return {"sensor": name, **found}

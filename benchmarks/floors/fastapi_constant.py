"""A FastAPI ``async def`` endpoint that returns a constant: the same as ``flask_constant`` for the other side.

Like that one it is written with orjson and left alone with the reply: FastAPI neither checks nor converts it.
"""

import orjson
from fastapi import FastAPI, Request, Response

REPLY = {"prediction": 0, "probability": [0.9815, 0.0185, 0.0]}

app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return Response(orjson.dumps(REPLY), media_type="application/json")


@app.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}

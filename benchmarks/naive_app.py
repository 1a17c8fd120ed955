"""The app that the benchmark compares with: FastAPI around ``model.predict``, as a notebook's author would write it.

Run: ``python benchmarks/naive_app.py MODEL.keras PORT``
"""

import sys

import keras
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Body(BaseModel):
    """One vector, or several."""

    input_vector: dict[str, float] | None = None
    input_vectors: list[dict[str, float]] | None = None


def create_app(model: keras.Model) -> FastAPI:
    """Both routes, with the model loaded once."""
    app = FastAPI()

    def predict(rows: list[dict[str, float]]) -> list[list[float]]:
        answer: list[list[float]] = model.predict(
            np.array([list(row.values()) for row in rows], np.float32), verbose=0
        ).tolist()
        return answer

    @app.post("/tensor/run")
    async def run(body: Body) -> dict[str, list[float]]:
        return {"output": predict([body.input_vector or {}])[0]}

    @app.post("/tensor/run/batch")
    async def run_batch(body: Body) -> dict[str, list[list[float]]]:
        return {"output": predict(body.input_vectors or [])}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(keras.models.load_model(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")

"""The bare route that scoring is measured against."""

from fastapi import FastAPI

app = FastAPI()


@app.post("/constant")
async def constant() -> dict[str, bool]:
    """Nothing but the framework."""
    return {"answered": True}

import asyncio

from fastapi import FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

app = FastAPI()


@app.get("/", response_class=PlainTextResponse)
async def home():
    return "a fast page\n"


@app.get("/events")
async def events():
    async def count():
        for number in range(3):
            yield "data: %d\n\n" % number
            await asyncio.sleep(1)

    # nginx would keep them until there is more.
    return StreamingResponse(count(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text("heard " + await socket.receive_text())

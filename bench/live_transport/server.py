"""The service with a throwaway WebSocket: `python -m bench.live_transport.server PORT MODEL`."""

import sys
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.app import create_app
from service.execution.work import Work, work_context
from service.observability.trace import new_request_id
from service.reports.answers import classification
from service.runtime import Runtime
from service.settings import Settings

PATH = "/bench"


async def answer_frames(connection: WebSocket) -> None:
    """Answer each binary message, a frame, as `POST /classify?top=6` does, without admission, key, deadline and log."""
    runtime: Runtime = connection.app.state.runtime
    await connection.accept()
    with suppress(WebSocketDisconnect):
        while True:
            frame = await connection.receive_bytes()
            model = runtime.ready_model
            with work_context(Work(new_request_id())):
                result = await model.pool.run(model.pipeline.classify, frame)
                answer = classification(result, 6)
            await connection.send_text(answer.model_dump_json())


def main() -> None:
    """Serve until the process is ended."""
    app = create_app(Settings(model=Path(sys.argv[2]), log_level="error"))
    app.add_api_websocket_route(PATH, answer_frames)
    uvicorn.run(
        app, port=int(sys.argv[1]), http="h11", ws="websockets-sansio", ws_per_message_deflate=False, loop="asyncio",
        log_config=None, access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()

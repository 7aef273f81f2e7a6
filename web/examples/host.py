"""A product's own server, as small as it can be: its pages, and the one call that its pages get a desktop by.

The API key stays here. The page gets an address that is good once, for 30 s, and only in a frame on this origin.

    FENSTER_API_KEY=... python web/examples/host.py http://127.0.0.1:8080 SESSION
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aiohttp import ClientSession, web

HERE = Path(__file__).parent
CLIENT = HERE.parent / "packages/client/dist"


def make_host(gateway: str, session: str, api_key: str) -> web.Application:
    """The application; ``gateway`` is its origin as the browser and this server reach it."""
    app = web.Application()
    policy = f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src {gateway}"

    async def address(request: web.Request) -> web.Response:
        # A real product asks here who the person is, and which desktop is theirs.
        body = {"role": "control", "origins": [f"{request.scheme}://{request.host}"]}
        url = f"{gateway}/v1/sessions/{session}/tickets"
        async with (
            ClientSession(headers={"Authorization": f"Bearer {api_key}"}) as http,
            http.post(url, json=body) as answer,
        ):
            if answer.status != 201:
                return web.Response(status=502, text=await answer.text())
            return web.json_response({"url": gateway + (await answer.json())["embed_url"]})

    async def secure(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = policy

    app.on_response_prepare.append(secure)
    app.router.add_post("/desktop", address)
    app.router.add_static("/client", CLIENT)
    app.router.add_static("/", HERE)
    return app


if __name__ == "__main__":
    if len(sys.argv) != 3 or not (CLIENT / "index.js").is_file():
        sys.exit(f"{__doc__}\nThe client must have been built: make web")
    web.run_app(
        make_host(sys.argv[1].rstrip("/"), sys.argv[2], os.environ["FENSTER_API_KEY"]), host="127.0.0.1", port=9000
    )

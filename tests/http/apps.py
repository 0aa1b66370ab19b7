"""A FastAPI application that does what applications do, to be served by uvicorn and by lmi_fast."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Header, Query, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel

api = FastAPI(docs_url=None, redoc_url=None)
api.add_middleware(GZipMiddleware, minimum_size=50_000)


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@api.api_route(
    "/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"], include_in_schema=False
)
async def echo(rest: str, request: Request) -> dict[str, Any]:
    grouped: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        grouped.setdefault(name, []).append(value)
    return {
        "method": request.method,
        "rest": rest,
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode("ascii"),
        "raw_query": request.scope["query_string"].decode("ascii"),
        "query": grouped,
        "cookies": request.cookies,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]],
        "body": base64.b64encode(await request.body()).decode(),
    }


@api.get("/items/{number}")
async def item(
    number: int,
    q: Annotated[list[str] | None, Query()] = None,
    session: Annotated[str | None, Cookie()] = None,
    x_token: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    return {"number": number, "q": q, "session": session, "token": x_token}


@api.post("/items", status_code=201)
async def make_item(made: Item, response: Response) -> Item:
    response.headers["location"] = f"/items/{made.name.encode().hex()}"
    return made


@api.post("/mirror")
async def mirror(request: Request) -> Response:
    return Response(await request.body(), media_type=request.headers.get("content-type", "application/octet-stream"))


@api.get("/cookies")
async def cookies(response: Response, n: int = 2) -> str:
    for number in range(n):
        response.set_cookie(f"c{number}", f"v{number}; {number}", httponly=True, path="/")
    response.headers.append("x-many", "one")
    response.headers.append("x-many", "two")
    return "caf\u00e9"


@api.get("/pieces")
async def pieces(n: int = 3) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for number in range(n):
            yield f"piece {number}\n".encode()

    return StreamingResponse(body(), media_type="text/plain")


@api.get("/long")
async def long() -> list[int]:
    return list(range(10_000))


@api.get("/moved")
async def moved() -> RedirectResponse:
    return RedirectResponse("/items/1?q=a%20b", status_code=307)


@api.api_route("/nothing", methods=["GET", "DELETE"], status_code=204, include_in_schema=False)
async def nothing() -> None: ...


@api.get("/latin")
async def latin() -> Response:
    return Response("gr\u00fc\u00df".encode("latin-1"), media_type="text/plain; charset=latin-1")


@api.get("/broken")
async def broken() -> None:
    raise RuntimeError("broken")


@api.get("/teapot")
def teapot() -> PlainTextResponse:  # on a thread
    return PlainTextResponse("short and stout", status_code=418, headers={"x-Handle": "here", "x-empty": ""})

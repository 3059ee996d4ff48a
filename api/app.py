"""The HTTP API: a thin front end that validates requests, accepts jobs durably, and reads their state back.

gate       request id, tenant by API key, body limits          problems   every error as problem+json
jobs, batches, results, archives, deliveries, voices, models, health     the routes
events     what becomes of jobs and batches, live             speech     /v1/audio, as clients of OpenAI's API call it
metrics    for Prometheus
dashboard  the pages at /, plain files                         session    sign-in of browsers, by cookie
listening  jobs as they are rendered, for players of HLS
shortcut   accepts, in front of the router
admission  a request becomes an order, or is refused           views      records in the shape that clients see
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.telemetry import TelemetryConfig
from starlette.concurrency import run_in_threadpool

from api import (
    archives,
    batches,
    chapters,
    contents,
    deliveries,
    docs_page,
    documents,
    edit_preview,
    events,
    health,
    jobs,
    lexicons,
    metrics,
    models,
    openapi,
    preview,
    problems,
    results,
    revisions,
    session,
    voices,
)
from api.browser_sessions import Sessions
from api.connection import MOST_CONNECTIONS
from api.cors import cors
from api.dashboard import pages
from api.decoder import Decoder
from api.gate import Gate
from api.head import HeadAsGet
from api.listening import routes as listening
from api.listening.shelf import Shelf
from api.listening.tickets import Tickets
from api.previewer import Previewer
from api.process_metrics import ProcessMetrics
from api.shortcut import Shortcut
from api.speech import routes as speech
from api.speech.studio import Studio
from api.state import AppState, opened
from farm.settings import Settings
from farm.tracing import Tracing
from farm.tracing import opened as tracing_opened

ROUTERS = (
    jobs.router,
    preview.router,
    results.router,
    chapters.router,
    revisions.router,
    revisions.edits,
    edit_preview.router,
    contents.router,
    archives.router,
    listening.router,
    batches.router,
    deliveries.router,
    voices.router,
    documents.router,
    lexicons.router,
    models.router,
    speech.router,
    events.router,
    health.router,
    metrics.router,
    session.router,
)


def create_app(
    settings: Settings | None = None, tracing: Tracing | None = None, *, connections: int = MOST_CONNECTIONS
) -> FastAPI:
    """The ASGI application. Its lifespan needs a Redis that answers; storage may be away. `connections` are those that
    the server may have, of which no tenant can take all."""
    settings = settings or Settings.read()
    tracing = tracing or tracing_opened("api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, tracing) as state:
            app.state.farm, app.state.decoder, app.state.studio = state, Decoder(), Studio(settings)
            app.state.previewer, app.state.shelf = Previewer(), Shelf()
            yield
            app.state.shelf.close()
            app.state.studio.close()
        await run_in_threadpool(tracing.close)

    def state() -> AppState:
        return cast(AppState, app.state.farm)

    sessions, tickets = Sessions(lambda: state().store, settings.public_url), Tickets(lambda: state().store)
    gate = Middleware(
        Gate,
        state=state,
        sessions=sessions,
        tickets=tickets,
        public_url=settings.public_url,
        places=connections,
        origins=settings.cors_origins,
        tracing=tracing,
    )
    # A span is named by the route that the router finds.
    accepts = [] if tracing.on else [Middleware(Shortcut, method="POST", path="/v1/jobs", endpoint=jobs.submit)]
    app: FastAPI = FastAPI(
        title="TTS Farm",
        version="1",
        description="Narration in bulk: jobs and batches in, audio and signed webhooks out.",
        lifespan=lifespan,
        middleware=[*cors(settings.cors_origins), gate, Middleware(HeadAsGet), *accepts],
        servers=[{"url": settings.public_url}] if settings.public_url else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=cast(TelemetryConfig, tracing.of_fastapi()),
    )
    app.state.process, app.state.sessions, app.state.tickets = ProcessMetrics(), sessions, tickets
    problems.install(app)
    openapi.install(app)
    docs_page.install(app)
    pages.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app

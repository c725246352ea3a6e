"""Health and metrics of the server."""

from http import HTTPStatus

from flask import Response, request

from image_processor.web.api.blueprint import api, file_of, json_response, problems, server_tag
from image_processor.web.schemas import Health, Readiness
from image_processor.web.services import services


@api.get("/healthz", tags=[server_tag], responses={200: Health})
def health() -> Response:
    """Whether the process responds."""
    return json_response(Health(ok=True))


@api.get("/readyz", tags=[server_tag], responses={200: Readiness, 503: Readiness, **problems(401)})
def readiness() -> Response:
    """Whether the server can process jobs: folders, database, worker."""
    paused = services().health.reason
    has_worker = services().worker.is_any_active()
    reason = paused or (None if has_worker else "No process of this installation processes jobs.")
    body = Readiness(ready=reason is None, store=paused is None, worker=has_worker, reason=reason)
    return json_response(body, HTTPStatus.OK if body.ready else HTTPStatus.SERVICE_UNAVAILABLE)


@api.get(
    "/metrics",
    tags=[server_tag],
    responses={
        200: file_of(
            "Counters, times and the queue, in the Prometheus text format or as OpenMetrics.",
            "text/plain",
            "application/openmetrics-text",
        ),
        **problems(401),
    },
)
def metrics() -> Response:
    """Metrics for Prometheus: images, bytes, seconds per step, the queue, webhook attempts."""
    body, content_type = services().metrics.page(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)

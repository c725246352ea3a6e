"""Webhooks: the deliveries of a job, and the inbox that receives them, for trying webhooks out."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from flask import Response, request

from image_processor.jobs import timestamp
from image_processor.store import DeliveryState, WebhookAttempt, WebhookDelivery
from image_processor.web.api.blueprint import api, json_response, problems, webhooks_tag
from image_processor.web.schemas import (
    Attempt,
    Callback,
    Callbacks,
    Deliveries,
    DeliveryBody,
    DeliveryPath,
    RequestPath,
)
from image_processor.web.services import services


@api.get(
    "/api/v1/requests/<request_id>/webhook-deliveries",
    tags=[webhooks_tag],
    responses={200: Deliveries, **problems(401, 404)},
)
def list_deliveries(path: RequestPath) -> Response:
    """The webhook deliveries of a job, with every attempt."""
    return _deliveries(path.request_id)


@api.post(
    "/api/v1/requests/<request_id>/webhook-deliveries/<delivery_id>/redeliver",
    tags=[webhooks_tag],
    responses={202: Deliveries, **problems(401, 403, 404)},
)
def redeliver(path: DeliveryPath) -> Response:
    """Send a webhook again, with the same `webhook-id`."""
    services().queries.job(path.request_id)
    services().actions.redeliver(path.request_id, path.delivery_id)
    return _deliveries(path.request_id, HTTPStatus.ACCEPTED)


@api.post(
    "/webhooks/inbox",
    tags=[webhooks_tag],
    responses={204: None, **problems(401, 413)},
)
def receive_callback() -> Response:
    """Receive a webhook: its signature is verified, and it is stored once per `webhook-id`."""
    services().inbox.receive(dict(request.headers), request.get_data())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get("/webhooks/inbox", tags=[webhooks_tag], responses={200: Callbacks, **problems(401)})
def list_callbacks() -> Response:
    """The webhooks that the inbox received."""
    callbacks = [Callback.model_validate(one) for one in services().inbox.callbacks()]
    return json_response(Callbacks(callbacks=callbacks))


def _deliveries(request_id: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    bodies = [_delivery(one, attempts) for one, attempts in services().queries.deliveries(request_id)]
    return json_response(Deliveries(deliveries=bodies), status)


def _delivery(delivery: WebhookDelivery, attempts: Sequence[WebhookAttempt]) -> DeliveryBody:
    return DeliveryBody(
        id=delivery.id,
        url=delivery.url,
        state=DeliveryState(delivery.state),
        attempts=delivery.attempts,
        last_status_code=delivery.last_status_code,
        due_at=timestamp(delivery.due_at),
        created_at=timestamp(delivery.created_at) or "",
        body=json.loads(delivery.body),
        log=[Attempt.model_validate(one) for one in attempts],
    )

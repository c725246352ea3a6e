"""What can be done to a request after its upload: cancel, retry, delete, redeliver; and the clearing away."""

import logging
from datetime import timedelta

from image_processor.errors import Conflict, NotFound, shorten
from image_processor.store import Job, JobStatus, Outbox, Repository, Storage, now

log = logging.getLogger(__name__)


class Actions:
    """The changing side, shared by the API, the pages and the command line."""

    def __init__(self, repository: Repository, outbox: Outbox, storage: Storage) -> None:
        self._repository = repository
        self._outbox = outbox
        self._storage = storage

    def cancel(self, request_id: str) -> bool:
        """End a request: what is done stays, the rest is cancelled. False when it was cancelled before.

        Raises NotFound, or Conflict when the request is finished.
        """
        if self._repository.ask_to_cancel(request_id):
            log.info("request %s: asked to cancel", request_id)
            return True
        request = self._found(request_id)
        if request.status == JobStatus.CANCELLED:
            return False
        raise Conflict(f"Request {request_id} is {request.status.lower()}; there is nothing left to cancel.")

    def retry(self, request_id: str) -> None:
        """Work what failed or was cancelled again. Raises NotFound, or Conflict when there is nothing to repeat yet."""
        if self._repository.start_again(request_id):
            log.info("request %s: a new run", request_id)
            return
        request = self._found(request_id)
        if not request.done:
            raise Conflict(f"Request {request_id} is still running; retry what fails when it is done.")
        raise Conflict(f"Every image of request {request_id} succeeded; there is nothing to retry.")

    def delete(self, request_id: str) -> None:
        """Remove a request with all its files. Raises NotFound, or Conflict while it runs."""
        if not self._repository.delete_request(request_id):
            self._found(request_id)
            raise Conflict(f"Request {request_id} is still running; cancel it first.")
        self._storage.remove(request_id)
        log.info("request %s: deleted", request_id)

    def redeliver(self, request_id: str, delivery_id: str) -> None:
        """Send a webhook again, with the same id. Raises NotFound."""
        if not self._outbox.redeliver(request_id, delivery_id):
            raise NotFound(f"Request {request_id} has no webhook delivery {shorten(delivery_id)!r}.")

    def prune(self, days: int) -> int:
        """Delete the requests (and received callbacks) that were done more than `days` days ago; give their number."""
        before = now() - timedelta(days=days)
        old = self._repository.done_before(before)
        for request_id in old:
            self.delete(request_id)
        self._outbox.forget_callbacks(before)
        return len(old)

    def remove_orphans(self) -> int:
        """Remove files that belong to no request (a crash or a cut deletion left them); give their number."""
        orphans = 0
        for ids in self._storage.request_ids_with_files():
            known = self._repository.existing(ids)
            for request_id in set(ids) - known:
                self._storage.remove(request_id)
                orphans += 1
        return orphans

    def _found(self, request_id: str) -> Job:
        request = self._repository.get_request(request_id)
        if request is None:
            raise NotFound(f"There is no request {shorten(request_id)!r}; check the id, or whether it was deleted.")
        return request

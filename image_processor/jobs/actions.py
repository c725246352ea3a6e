"""Actions on jobs: cancel, retry, delete, redeliver a webhook, prune."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from image_processor.errors import Conflict, NotFound, shorten
from image_processor.store import Jobs, JobStatus, Outbox, Storage, now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Actions:
    """Changes jobs, for the API, the pages and the command line."""

    jobs: Jobs
    outbox: Outbox
    storage: Storage

    def cancel(self, job_id: str) -> bool:
        """End a job: finished images stay, the rest is cancelled. False when it was cancelled before.

        Raises NotFound, or Conflict when the job is finished.
        """
        if self.jobs.cancel(job_id):
            log.info("job %s: to be cancelled", job_id)
            return True
        job = self.jobs.find(job_id)
        if job.status == JobStatus.CANCELLED:
            return False
        raise Conflict(f"Job {job_id} is {job.status.lower()}; there is nothing left to cancel.")

    def retry(self, job_id: str) -> None:
        """Process failed and cancelled images again. Raises NotFound, or Conflict when there are none (yet)."""
        if self.jobs.restart(job_id):
            log.info("job %s: a new run", job_id)
            return
        if not self.jobs.find(job_id).done:
            raise Conflict(f"Job {job_id} is still running; retry what fails when it is done.")
        raise Conflict(f"Every image of job {job_id} succeeded; there is nothing to retry.")

    def delete(self, job_id: str) -> None:
        """Delete a job with all its files. Raises NotFound, or Conflict while it runs."""
        if not self._delete(job_id):
            self.jobs.find(job_id)
            raise Conflict(f"Job {job_id} is still running; cancel it first.")

    def redeliver(self, job_id: str, delivery_id: str) -> None:
        """Send a webhook again, with the same id. Raises NotFound."""
        if not self.outbox.redeliver(job_id, delivery_id):
            raise NotFound(f"Job {job_id} has no webhook delivery {shorten(delivery_id)!r}.")

    def prune(self, days: int) -> int:
        """Delete jobs that were done, and callbacks received, more than `days` days ago. Returns the number of jobs."""
        before = now() - timedelta(days=days)
        # One that is retried or deleted meanwhile is not pruned, and does not keep the others.
        pruned = sum(map(self._delete, self.jobs.done_before(before)))
        self.outbox.delete_callbacks(before)
        return pruned

    def remove_orphans(self) -> int:
        """Remove files that belong to no job, as a crash may leave them. Returns the number of their jobs."""
        orphans = 0
        for ids in self.storage.job_ids_with_files():
            for job_id in set(ids).difference(self.jobs.existing(ids)):
                self.storage.remove(job_id)
                orphans += 1
        return orphans

    def _delete(self, job_id: str) -> bool:
        if not self.jobs.delete(job_id):
            return False
        self.storage.remove(job_id)
        log.info("job %s: deleted", job_id)
        return True

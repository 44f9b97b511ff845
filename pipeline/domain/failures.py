"""What a job's failure means: in words, and for further tries. Said here for runs and for rebuilt ledgers alike."""

from pipeline.domain.errors import JobFailed, PicturesMakeNoMesh
from pipeline.domain.jobs import Job
from pipeline.domain.planning import FAILED_JOBS_MAX


def failed_jobs(job: Job, before: int) -> int:
    """How many jobs of a work item count as failed, one after the other, once ``job`` has failed after ``before``: all
    that may, where another try is for a person to decide. It was not refunded, or its pictures are at fault.
    """
    return FAILED_JOBS_MAX if job.cu_charged or job.blames_pictures else before + 1


def failure_of(job: Job, count: int) -> JobFailed:
    """The error that its item's row tells; ``count`` is what ``failed_jobs`` says."""
    cost = f"; {job.cu_charged:g} CU were not refunded" if job.cu_charged else ""
    what = f"job {job.job_id} ended as {job.status}: {job.reason}{cost}"
    if job.blames_pictures:
        then = "then run again; unchanged pictures are tried again after `mvmesh retry` alone"
        return PicturesMakeNoMesh(what, mend=f"{job.mend}; {then}")
    if count >= FAILED_JOBS_MAX:
        return JobFailed(what, mend=f"{job.mend}; `mvmesh retry` lets the next run try these pictures again")
    return JobFailed(what, mend=f"run again, it may go better; if it does not: {job.mend}")

"""Which function answers which operation."""

from collections.abc import Callable

from orchestrator.localhub.api import auth, files, jobs, jobstats, local, site
from orchestrator.localhub.call import Call, Reply

Operation = Callable[[Call], Reply]

PUBLIC = {"POST /auth/token/", "POST /auth/token/refresh/", "POST /auth/token/verify/"}

OPERATIONS: dict[str, Operation] = {
    "POST /auth/token/": auth.log_in,
    "POST /auth/token/refresh/": auth.refresh,
    "POST /auth/token/verify/": auth.verify,
    "GET /auth/clientkeys/": auth.list_keys,
    "POST /auth/clientkeys/": auth.make_key,
    "GET /auth/clientkeys/{id}/": auth.get_key,
    "PATCH /auth/clientkeys/{id}/": auth.rename_key,
    "DELETE /auth/clientkeys/{id}/": auth.revoke_key,
    "GET /file/": files.get_file,
    "POST /file/workflow/": files.submit,
    "GET /spaces/{id}/files/": files.get_space_files,
    "GET /jobs/": jobs.list_jobs,
    "GET /jobs/stats/": jobs.job_stats,
    "GET /jobs/recent/": jobs.recent_jobs,
    "GET /jobs/jobtype_choices/": jobs.job_types,
    "DELETE /jobs/{id}/": jobs.delete_job,
    "POST /jobs/{id}/cancel/": jobs.cancel_job,
    "POST /jobs/{id}/pause/": jobs.pause_job,
    "POST /jobs/{id}/resume/": jobs.resume_job,
    "POST /jobs/{id}/resubmit/": jobs.resubmit_job,
    "GET /jobs/{id}/progress/": jobs.progress_of_job,
    "GET /jobs/{id}/statistics/": jobs.statistics_of_job,
    "GET /jobs/{id}/files/": jobs.files_of_job,
    "GET /jobstats/": jobstats.list_jobstats,
    "GET /jobstats/{id}/": jobstats.get_jobstat,
    "GET /jobstats/{id}/history/": jobstats.history_of_jobstat,
    "GET /tasks/": jobstats.list_tasks,
    "GET /tasks/{id}/": jobstats.get_task,
    "GET /tasks/{id}/files/": jobstats.files_of_task,
    "GET /sites/": site.list_sites,
    "GET /sites/{id}/": site.get_site,
    "GET /sites/{id}/health/": site.site_health,
    "GET /nodes/": site.list_nodes,
    "GET /nodes/{id}/": site.get_node,
    "GET /queues/": site.list_queues,
    "GET /queues/{id}/": site.get_queue,
    "GET /filesystems/": site.list_filesystems,
    "GET /filesystems/{id}/": site.get_filesystem,
    "GET /filesets/": site.list_filesets,
    "GET /storagepools/": site.list_pools,
    "GET /storagepools/{id}/": site.get_pool,
    "GET /alerts/": site.list_alerts,
    "GET /alerts/{id}/": site.get_alert,
    "GET /spaces/": site.list_spaces,
    "POST /spaces/": site.make_space,
    "GET /spaces/{id}/": site.get_space,
    "PATCH /spaces/{id}/": site.change_space,
    "DELETE /spaces/{id}/": site.delete_space,
    "GET /workflows/": site.list_workflows,
    "GET /workflows/{id}/": site.get_workflow,
    "PATCH /workflows/{id}/": site.change_workflow,
    "GET /configurations/": site.get_configurations,
    "PATCH /configurations/": site.change_configurations,
}

UNDOCUMENTED: dict[str, Operation] = {"GET /jobs/{id}/": jobs.get_job}

LOCAL: dict[str, Operation] = {
    "GET /_local/faults": local.get_faults,
    "PUT /_local/faults": local.set_faults,
    "DELETE /_local/faults": local.clear_faults,
    "GET /_local/counters": local.get_counters,
    "GET /_local/processed": local.get_processed,
    "GET /_local/throttle": local.get_throttle,
    "PUT /_local/throttle": local.set_throttle,
    "POST /_local/expire-tokens": local.expire_tokens,
    "POST /_local/recount": local.recount,
}

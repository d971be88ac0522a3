"""`python -m flows.provision`: make on a Prefect server all that the deployments need, and them.

Work pool, GPU slots, the automation that notices dead runs, `prefect deploy --all`. Giving the
command again brings what is there up to date. The server is that of PREFECT_API_URL or the profile.
"""

import subprocess
import sys
from datetime import timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, Posture
from prefect.workers.process import ProcessWorker

from flows.gpus import GPU_SLOTS, count_gpus
from flows.services_folder import PROJECT, WORK_POOL

# A run sends a heartbeat every 30 s (prefect.yaml), so this one has missed two.
SILENCE = timedelta(seconds=90)
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Paused", "AwaitingRetry")
DEAD_RUNS = AutomationCore(
    name="graphmert: runs without heartbeat",
    description="Marks a flow run as crashed whose process has gone without a word.",
    trigger=EventTrigger(
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        after={HEARTBEAT},
        expect={HEARTBEAT, *(f"prefect.flow-run.{state}" for state in ENDS)},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
    ),
    actions=[
        ChangeFlowRunState(
            name="Crashed",
            state=StateType.CRASHED,
            force=False,  # a run that has ended meanwhile stays as it is
            message=f"No heartbeat for {SILENCE.total_seconds():.0f} s: its process has gone.",
        )
    ],
)


def main() -> int:
    """Make it all; return the exit code."""
    with get_client(sync_client=True) as client:
        pool = WorkPoolCreate(
            name=WORK_POOL,
            type=ProcessWorker.type,
            base_job_template=ProcessWorker.get_default_base_job_template(),
        )
        client.create_work_pool(pool, overwrite=True)
        client.upsert_global_concurrency_limit_by_name(GPU_SLOTS, max(count_gpus(), 1))
        if there := client.read_automations_by_name(DEAD_RUNS.name):
            client.update_automation(there[0].id, DEAD_RUNS)
        else:
            client.create_automation(DEAD_RUNS)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

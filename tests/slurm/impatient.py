"""Snakemake that looks every second whether a job of the cluster has ended.

The SLURM executor waits ten seconds longer each time that none has, which spares a cluster and is
most of what a study of short jobs takes.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(self):
    """In the place of the executor's own."""
    await asyncio.sleep(1)


RemoteExecutor.sleep = sleep

if __name__ == "__main__":
    main()

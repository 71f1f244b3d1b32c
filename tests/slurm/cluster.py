"""A SLURM cluster of one node on this machine, for the tests: real daemons, imagined GPUs.

    python tests/slurm/cluster.py install         Debian's packages (as root)
    python tests/slurm/cluster.py up FOLDER       configure and start; prints SLURM_CONF=…
    python tests/slurm/cluster.py down FOLDER     cancel all jobs, stop the daemons

Everything lies in one folder (configuration, key, job queue, accounts, logs) and every socket is on
127.0.0.1 or in that folder. Outside it are a link at /etc/slurm/slurm.conf, where nested jobs look,
and perhaps a line in /etc/hosts; `down` takes both away. A machine that has a configuration of
SLURM's is left alone.
"""

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = (
    "munge",
    "slurm-client",
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "mariadb-server-core",
    "mariadb-client-core",
)
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db", "sbatch")
# In the order of starting; stopped the other way round.
DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
HOSTS = Path("/etc/hosts")
LINK = Path("/etc/slurm/slurm.conf")
MARK = "# test cluster of rarecxr"

# The partitions are one node. Jobs of `urgent` send those of the others back into the queue.
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/queue
SlurmdSpoolDir={folder}/spool
# Without cgroups: processes are known by their group, memory is looked at every two seconds.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait={kill_wait_s}
MinJobAge=3600
EnforcePartLimits=ALL
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounts_port}
# The place of munge's socket, whatever the name says.
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:a100
AccountingStoreFlags=job_comment
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 \\
    CPUs={cpus} RealMemory={memory_mb} Gres=gpu:a100:{gpus}
PartitionName=DEFAULT Nodes=node1 MaxTime=7-0 DefaultTime=30 PriorityTier=10 GraceTime={grace_s}
PartitionName=cpu Default=YES
PartitionName=gpu
PartitionName=urgent PriorityTier=100 PreemptMode=OFF
"""

ACCOUNTS_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounts_port}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=accounts
"""


def obstacle() -> str | None:
    """Why no cluster can be started on this machine; None if one can."""
    missing = [name for name in PROGRAMS if not _which(name)]
    if missing:
        return (
            f"SLURM is not installed ({', '.join(missing)}): python tests/slurm/cluster.py install"
        )
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    if Path("/run/slurm/conf").exists():
        return "this machine is part of a SLURM cluster"
    # The link of a test that was killed leads to nothing that runs.
    if LINK.exists() and not (LINK.is_symlink() and Cluster(LINK.resolve().parent).is_down()):
        return f"this machine has a SLURM cluster, {LINK.resolve()}"
    return None


def install() -> None:
    """Install Debian's packages, without starting the services that they bring."""
    policy = Path("/usr/sbin/policy-rc.d")
    mine = not policy.exists()
    if mine:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        policy.chmod(0o755)
    try:
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        quiet["env"] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        subprocess.run([*apt, "update"], **quiet)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", *PACKAGES], **quiet)
    finally:
        if mine:
            policy.unlink()


class Cluster:
    """The daemons of one cluster.

    Args:
        folder: an empty folder with a short name (it holds sockets), owned by the cluster.
        cpus, memory_mb, gpus: what the node claims to have.
        kill_wait_s: seconds between SIGTERM and SIGKILL when a job is ended.
        grace_s: the same when it is preempted.
    """

    def __init__(
        self,
        folder: Path,
        cpus: int = 16,
        memory_mb: int = 16000,
        gpus: int = 2,
        kill_wait_s: int = 8,
        grace_s: int = 8,
    ):
        self.folder = folder
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.host = socket.gethostname().split(".")[0]
        self.sizes = {
            "cpus": cpus,
            "memory_mb": memory_mb,
            "gpus": gpus,
            "kill_wait_s": kill_wait_s,
            "grace_s": grace_s,
        }
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "MYSQL_UNIX_PORT": str(folder / "mariadb.socket"),
        }

    def up(self) -> None:
        """Start all daemons and wait until a job has run.

        Raises:
            RuntimeError: something does not start; the message names the folder with the logs.
        """
        self._configure()
        LINK.parent.mkdir(exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(self.folder / "slurm.conf")
        self._start("munged", *self._munge(), foreground=False)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._start_accounts()
        self._start("slurmctld", foreground=False)
        self._wait(lambda: "is UP" in self.ask("scontrol", "ping", check=False), "slurmctld")
        self._start("slurmd", "-N", "node1", foreground=False)
        self._wait(
            lambda: self.ask("sinfo", "-h", "-p", "cpu", "-o", "%T", check=False) == "idle",
            "slurmd",
        )
        self.ask("srun", "-Q", "-p", "cpu", "-n", "1", "--mem=50", "-t", "1", "true", timeout=60)

    def down(self) -> None:
        """Cancel all jobs, stop the daemons and give back the name in /etc/hosts."""
        if not self.is_down():
            self.ask("scancel", "--user", self.user, check=False)
            with contextlib.suppress(RuntimeError):
                self._wait(lambda: not self.ask("squeue", "-h", check=False), "jobs", 30)
        for name in reversed(DAEMONS):
            self._stop(name)
        lines = HOSTS.read_text(encoding="utf-8").splitlines(keepends=True)
        if any(MARK in line for line in lines):
            HOSTS.write_text("".join(line for line in lines if MARK not in line), encoding="utf-8")
        if LINK.is_symlink() and LINK.resolve().parent == self.folder.resolve():
            LINK.unlink()

    def is_down(self) -> bool:
        """Whether the cluster does not run."""
        return self._pid("slurmctld") is None

    def ask(self, *command: str, check: bool = True, timeout: float = 30) -> str:
        """What a SLURM command prints."""
        done = subprocess.run(
            command,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}; see {self.folder}")
        return done.stdout.strip()

    def _configure(self) -> None:
        for name in ("queue", "spool", "gpus"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        ports = dict(
            zip(("controller_port", "node_port", "accounts_port"), _free_ports(3), strict=True)
        )
        values = {
            "folder": self.folder,
            "host": self.host,
            "user": self.user,
            **self.sizes,
            **ports,
        }
        (self.folder / "slurm.conf").write_text(CONF.format(**values), encoding="utf-8")
        (self.folder / "slurmdbd.conf").write_text(ACCOUNTS_CONF.format(**values), encoding="utf-8")
        (self.folder / "slurmdbd.conf").chmod(0o600)
        # A GPU is a file whose name ends in its number. Nothing is behind it.
        for number in range(self.sizes["gpus"]):
            (self.folder / f"gpus/gpu{number}").touch()
        last = self.sizes["gpus"] - 1
        files = f"{self.folder}/gpus/gpu" + (f"[0-{last}]" if last else "0")
        (self.folder / "gres.conf").write_text(
            f"NodeName=node1 Name=gpu Type=a100 File={files}\n", encoding="utf-8"
        )
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        # The daemons listen at the address of the machine's own name.
        try:
            address = socket.gethostbyname(self.host)
        except OSError:
            address = ""
        if address != "127.0.0.1":
            HOSTS.write_text(
                f"127.0.0.1 {self.host} {MARK}\n{HOSTS.read_text(encoding='utf-8')}",
                encoding="utf-8",
            )

    def _munge(self) -> list[str]:
        names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={self.folder}/munge.{name}" for option, name in names.items()]
        return ["--force", f"--seed-file={self.folder}/munge.seed", *options]

    def _start_accounts(self) -> None:
        data = self.folder / "mariadb"
        with open(self.folder / "mariadb-install.log", "w", encoding="utf-8") as log:
            subprocess.run(
                [
                    *("mariadb-install-db", "--no-defaults", "--skip-test-db"),
                    *(f"--user={self.user}", f"--datadir={data}"),
                    "--auth-root-authentication-method=socket",
                ],
                check=True,
                stdout=log,
                stderr=log,
            )
        self._start(
            "mariadbd",
            *("--no-defaults", f"--user={self.user}", f"--datadir={data}", "--skip-networking"),
            *(f"--socket={self.folder}/mariadb.socket", f"--pid-file={self.folder}/mariadbd.pid"),
            *("--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2"),
            *("--innodb-lock-wait-timeout=900", "--performance-schema=OFF"),
        )
        self._wait(lambda: (self.folder / "mariadb.socket").exists(), "mariadbd")
        self._start("slurmdbd", foreground=False)
        self._wait(lambda: self.ask("sacctmgr", "-n", "list", "cluster") is not None, "slurmdbd")
        self.ask("sacctmgr", "-iQ", "add", "cluster", "test")
        self.ask("sacctmgr", "-iQ", "add", "account", "lab", "cluster=test")
        self.ask("sacctmgr", "-iQ", "add", "user", self.user, "account=lab")

    def _start(self, name: str, *arguments: str, foreground: bool = True) -> None:
        """Start a daemon: one that stays in the foreground in a session of its own."""
        command = [_which(name), *arguments]
        with open(self.folder / f"{name}.out", "w", encoding="utf-8") as out:
            common = {"env": self.environment, "stdin": subprocess.DEVNULL}
            if foreground:
                subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, **common)
            elif subprocess.run(command, stdout=out, stderr=out, **common).returncode:
                raise RuntimeError(f"{name} does not start; see {self.folder}/{name}.out and .log")

    def _wait(self, ready, name: str, seconds: float = 60) -> None:
        """Wait until `ready()` is true; a RuntimeError of it means not yet."""
        end = time.monotonic() + seconds
        while True:
            reason = ""
            try:
                if ready():
                    return
            except RuntimeError as error:
                reason = f": {error}"
            if time.monotonic() > end:
                raise RuntimeError(f"{name} is not ready; see {self.folder}{reason}")
            time.sleep(0.2)

    def _pid(self, name: str) -> int | None:
        """The daemon's process, if it is there and is that program."""
        path = self.folder / ("munge.pid" if name == "munged" else f"{name}.pid")
        try:
            pid = int(path.read_text(encoding="utf-8"))
            program = os.readlink(f"/proc/{pid}/exe")
        except (OSError, ValueError):
            return None
        return pid if Path(program).name.startswith(name) else None

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        try:
            self._wait(lambda: self._pid(name) is None, name, 20)
        except RuntimeError:
            os.kill(pid, signal.SIGKILL)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def main() -> None:
    parser = argparse.ArgumentParser(description="A SLURM cluster of one node, for the tests.")
    parser.add_argument("action", choices=("install", "up", "down"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/tmp/slurm"))
    arguments = parser.parse_args()
    if arguments.action == "install":
        install()
    elif arguments.action == "down":
        Cluster(arguments.folder).down()
    else:
        reason = obstacle()
        if reason:
            sys.exit(reason)
        cluster = Cluster(arguments.folder)
        cluster.up()
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}")


if __name__ == "__main__":
    main()

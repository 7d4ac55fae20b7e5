#!/usr/bin/env bash
# A real Slurm of two nodes on this one machine, to throw away: for `make test-slurm`.
#
#   scripts/slurm-lab.sh up FOLDER      start it; then `export SLURM_CONF=FOLDER/slurm.conf`
#   scripts/slurm-lab.sh down FOLDER    end everything that `up` started, by the pid files in FOLDER
#
# Wants Debian's or Ubuntu's slurmctld, slurmd, slurm-client and munge, which it installs where it is root and apt-get
# is there. No systemd, no cgroups, no accounting. Exits with 3, and the reason, where it cannot.
# Partitions: low (preempted by requeue, with GRACE seconds of notice) and high.
set -euo pipefail

CPUS=${CPUS:-4} PORT=${PORT:-27817} GRACE=${GRACE:-20}
action=${1:-}
folder=${2:-}
if [ "$action" != up ] && [ "$action" != down ] || [ -z "$folder" ]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0"
  exit 2
fi

cannot() {
  echo "slurm-lab: $*" >&2
  exit 3
}

installed() {
  local program
  for program in slurmctld slurmd munged; do [ -x "/usr/sbin/$program" ] || return 1; done
  command -v sbatch srun squeue scontrol scancel >/dev/null
}

install_packages() {
  [ "$(id -u)" = 0 ] || cannot "Slurm is not installed and this is not root: apt-get install slurmctld slurmd slurm-client munge"
  command -v apt-get >/dev/null || cannot "Slurm is not installed and there is no apt-get to install it"
  local packages="slurmctld slurmd slurm-client munge"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1 ||
    { apt-get update -qq >/dev/null 2>&1 && apt-get install -y -qq --no-install-recommends $packages >/dev/null 2>&1; } ||
    cannot "apt-get could not install $packages"
}

write_config() {
  local host
  host=$(hostname -s)
  cat >"$folder/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2,preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=600
SlurmdTimeout=30
SlurmctldTimeout=60
MaxArraySize=1001
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 1)) CPUs=$CPUS RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((PORT + 2)) CPUs=$CPUS RealMemory=2000 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=$GRACE
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
  # From 23.02 on Slurm looks for cgroups unless it is told not to, and does not know the option before.
  [ "$(slurmctld -V | tr -dc '0-9.' | cut -d. -f1)" -lt 23 ] || echo "CgroupPlugin=disabled" >"$folder/cgroup.conf"
}

start() {
  mkdir -p "$folder"/state "$folder"/munge
  chmod 700 "$folder/munge"
  head -c 1024 /dev/urandom >"$folder/munge/key"
  chmod 400 "$folder/munge/key"
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" 2>/dev/null || cannot "munged does not start"
  write_config
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -c
  slurmd -c -N n1
  slurmd -c -N n2
  local _
  for _ in $(seq 1 300); do
    [ "$(sinfo --noheader --Node --partition=low --states=idle --format=%N 2>/dev/null | wc -l)" = 2 ] && return
    sleep 0.2
  done
  tail -n 5 "$folder"/*.log >&2
  cannot "the nodes did not come up in a minute"
}

# Only a process that still is what its pid file says.
stop() {
  local pid
  [ -f "$1" ] && pid=$(cat "$1") && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  local _
  for _ in $(seq 1 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

finish() {
  export SLURM_CONF=$folder/slurm.conf
  if [ -f "$folder/slurmctld.pid" ]; then
    timeout 10 squeue --noheader --format=%A 2>/dev/null | sort -u | xargs -r timeout 10 scancel --full 2>/dev/null || true
    local _
    for _ in $(seq 1 60); do
      [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break
      sleep 0.25
    done
  fi
  local file
  for file in "$folder"/slurmd.*.pid; do stop "$file" slurmd; done
  stop "$folder/slurmctld.pid" slurmctld
  stop "$folder/munged.pid" munged
}

if [ "$action" = up ]; then
  installed || install_packages
  start
  echo "slurm-lab: two nodes of $CPUS CPUs are up; export SLURM_CONF=$folder/slurm.conf"
else
  finish
fi

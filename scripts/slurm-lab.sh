#!/usr/bin/env bash
# Two Slurm nodes played by this machine, to throw away after `make test-slurm`.
#
#   scripts/slurm-lab.sh up FOLDER      start them, then: export SLURM_CONF=FOLDER/slurm.conf
#   scripts/slurm-lab.sh down FOLDER    end them, their jobs, and nothing else
#
# Programs: slurmctld, slurmd, Slurm's commands and munged, from Debian or Ubuntu; missing ones are installed where
# this runs as root. No systemd, cgroups or accounting. Partition `low` is preempted by `high`, after GRACE seconds.
# Exit codes: 0 done, 2 usage, 3 not possible here (the reason is on standard error).
set -euo pipefail

CPUS=${CPUS:-4}
GRACE=${GRACE:-20}
FIRST_PORT=${FIRST_PORT:-$((20000 + $$ % 10000))} # of three; two labs on one machine seldom meet
NODES=(n1 n2)
PACKAGES=(slurmctld slurmd slurm-client munge)

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 2
}

impossible() {
  echo "slurm-lab: $1" >&2
  exit 3
}

# eventually SECONDS COMMAND...: whether it succeeds within them
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.2
  done
}

# ---- the programs -----------------------------------------------------------------------------------------------

missing_programs() {
  PATH=$PATH:/usr/sbin
  local name
  for name in munged slurmctld slurmd sbatch srun squeue scancel sinfo scontrol; do
    type -P "$name" >/dev/null || echo "$name"
  done
}

fetch() {
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${PACKAGES[@]}" &>"$lab/apt.log"
}

provide_programs() {
  local missing
  missing=$(missing_programs | paste -sd ' ')
  [[ -z $missing ]] && return
  [[ $EUID -eq 0 ]] && type -P apt-get >/dev/null ||
    impossible "no $missing here, and not root with apt-get: install ${PACKAGES[*]}"
  fetch || { apt-get update &>"$lab/apt.log" && fetch; } ||
    impossible "apt-get could not install ${PACKAGES[*]}: $(tail -n 1 "$lab/apt.log")"
}

# ---- the configuration ------------------------------------------------------------------------------------------

# What is not named keeps Slurm's default.
configuration() {
  local me here port=$FIRST_PORT node
  me=$(id -un) here=$(hostname -s)
  echo "# daemons and their files"
  printf '%s\n' "ClusterName=lab" "SlurmctldHost=$here(127.0.0.1)" "SlurmctldPort=$port" \
    "SlurmUser=$me" "SlurmdUser=$me" "AuthInfo=socket=$lab/munge/socket" "StateSaveLocation=$lab/controller" \
    "SlurmdSpoolDir=$lab/%n" "SlurmctldPidFile=$lab/slurmctld.pid" "SlurmdPidFile=$lab/slurmd.%n.pid" \
    "SlurmctldLogFile=$lab/slurmctld.log" "SlurmdLogFile=$lab/slurmd.%n.log"
  echo "# one machine without cgroups plays nodes that it has not the cores for"
  printf '%s\n' "ProctrackType=proctrack/linuxproc" "TaskPlugin=task/none" "SlurmdParameters=config_overrides" \
    "SelectType=select/cons_tres" "SelectTypeParameters=CR_CPU"
  echo "# quick decisions; a node that died comes back by itself; ended jobs stay visible for the tests"
  printf '%s\n' "SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,preempt_send_user_signal" \
    "KillWait=5" "SlurmdTimeout=30" "ReturnToService=2" "MinJobAge=600"
  echo "# who yields to whom"
  printf '%s\n' "PreemptType=preempt/partition_prio" "PreemptMode=REQUEUE"
  for node in "${NODES[@]}"; do
    echo "NodeName=$node NodeHostname=$here NodeAddr=127.0.0.1 Port=$((++port)) CPUs=$CPUS RealMemory=2000"
  done
  echo "PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=$GRACE"
  echo "PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF"
}

# ---- up and down ------------------------------------------------------------------------------------------------

all_idle() {
  (($(sinfo --noheader --Node --partition=low --states=idle --format=%N 2>/dev/null | wc -l) == ${#NODES[@]}))
}

up() {
  mkdir -p "$lab/controller" "$lab/munge"
  provide_programs
  chmod go= "$lab/munge"
  (umask 277 && dd if=/dev/urandom of="$lab/munge/key" bs=256 count=1 status=none)
  munged --force --key-file "$lab/munge/key" --socket "$lab/munge/socket" --seed-file "$lab/munge/seed" \
    --log-file "$lab/munge/log" --pid-file "$lab/munged.pid" 2>"$lab/munge/complaints" ||
    impossible "munged does not start: $(tail -n 1 "$lab/munge/complaints")"
  configuration >"$lab/slurm.conf"
  # Slurm looks for cgroups unless it is told not to, in words that releases before 23.02 do not know.
  [[ $(slurmctld -V) =~ \ ([0-9]+)\. ]] && ((BASH_REMATCH[1] < 23)) || echo "CgroupPlugin=disabled" >"$lab/cgroup.conf"
  slurmctld -c
  local node
  for node in "${NODES[@]}"; do slurmd -c -N "$node"; done
  eventually 60 all_idle || {
    tail -n 5 "$lab"/slurm*.log >&2
    impossible "the nodes were not idle within a minute"
  }
  echo "slurm-lab: ${#NODES[@]} nodes of $CPUS CPUs are up; export SLURM_CONF=$lab/slurm.conf"
}

queue_is_empty() { [[ -z $(timeout 5 squeue --noheader 2>/dev/null) ]]; }

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# end NAME FILE: the process of that pid file, unless the number has meanwhile become another program's
end() {
  local pid
  pid=$(cat "$2" 2>/dev/null) || return 0
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" ]] || return 0
  kill "$pid" 2>/dev/null || return 0
  eventually 15 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

down() {
  if [[ -e $lab/slurmctld.pid ]]; then
    timeout 10 scancel --full --user="$(id -un)" 2>/dev/null || true
    eventually 15 queue_is_empty || true
  fi
  local node
  for node in "${NODES[@]}"; do end slurmd "$lab/slurmd.$node.pid"; done
  end slurmctld "$lab/slurmctld.pid"
  end munged "$lab/munged.pid"
}

[[ $# -eq 2 && $1 =~ ^(up|down)$ ]] || usage
mkdir -p "$2"
lab=$(cd "$2" && pwd)
export SLURM_CONF=$lab/slurm.conf
PATH=$PATH:/usr/sbin
"$1"

"""Where sheets can run: on this host, or on a cluster, by its engine. This is the only list of them."""

from typing import Final, Literal, get_args

Cluster = Literal["slurm"]
"""The engines of clusters; what another takes is told in docs/how-to/add-a-cluster-engine.md."""
ExecutorName = Literal["local", Cluster]
"""As `executor` names them: in a score, a request, the settings, on the command line."""
LOCAL: Final = "local"
SLURM: Final = "slurm"
"""Named where something is Slurm's alone."""
CLUSTERS: tuple[Cluster, ...] = get_args(Cluster)
EXECUTORS: tuple[ExecutorName, ...] = get_args(ExecutorName)

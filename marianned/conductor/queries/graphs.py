"""What needs what in a job: its graph by stages, worked out once for each revision that is asked for."""

from collections import OrderedDict

from anyio import to_thread

from marianned.conductor.queries.jobs import JobQueries
from marianned.formatting import plural
from marianned.progress.state.run import RunState
from marianned.progress.views.graph import StageGraph, stage_graph
from marianned.progress.views.job import loop_views
from marianned.protocol import Caller, Graph, ReadGraph

_KEPT_MOST = 32


class GraphQueries:
    """Answers job.graph, with what JobQueries reads."""

    def __init__(self, queries: JobQueries) -> None:
        self._queries = queries
        self._known: OrderedDict[tuple[int, int], StageGraph] = OrderedDict()

    async def job_graph(self, _caller: Caller, params: ReadGraph) -> Graph:
        """Return the stages of the score in force, with what they need."""
        event = self._queries.services.store.last_event
        state = await self._queries.state(params.job_id)
        revision, loops = state.current.row.revision, loop_views(state)
        graph = await self._graph_of(state)
        return Graph(
            job_id=params.job_id,
            status=state.run.status,
            message=f"{state.run.job_name}: {plural(len(graph.stages), 'stage')}",
            job_name=state.run.job_name,
            run=state.run.run,
            revision=revision,
            stages=graph.stages,
            sheets=graph.sheets[params.offset : params.offset + params.limit],
            total=len(graph.sheets),
            loops=loops,
            event=event,
        )

    async def _graph_of(self, state: RunState) -> StageGraph:
        """Work it out in a thread: a score may have ten thousand sheets, and hundreds of needs each."""
        key = (state.run.run_id, state.current.row.revision)
        if key not in self._known:
            self._known[key] = await to_thread.run_sync(stage_graph, state.score)
            if len(self._known) > _KEPT_MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

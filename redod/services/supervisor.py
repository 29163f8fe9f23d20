"""The supervisor: which targets are running processes, and what becomes of them.

A script's `redo-service` starts one; it is the target's when the script succeeds, and gone when it fails. The
supervisor tells the core when one has ended, and finds those of an earlier server again when their workspace is opened.
It does not restart anything by itself: an ended service is out of date, and the next build starts it.
"""

import asyncio
import logging
import os
import secrets
import shlex
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from redod.core import events
from redod.core.graph import Node
from redod.core.model import Job
from redod.core.paths import join, relative, show
from redod.engine import telling
from redod.engine.engine import Engine
from redod.engine.run import Run
from redod.engine.stores import OpenWorkspace
from redod.jobs.holders import Identity
from redod.jobs.limits import Limiter
from redod.services.process import Order, ServiceError, ServiceProcess, find_with, spawn
from redod.services.ready import SETTLING, Condition, ReadyPipe, wait_line_on, wait_port, wait_printed
from redod.services.record import Record, Records, boot_id
from redod.services.service import Service

PATIENCE = 60.0
"""Seconds in which a service has to be ready where its script does not say."""
_HOUSEKEEPING = 60.0
"""Seconds between two looks at the sizes of the logs."""
_log = logging.getLogger(__name__)


class Teller(Protocol):
    """Who is told that it takes long."""

    def complain(self, text: str) -> None: ...


class Supervisor:
    """Looks after the services of all open workspaces of `engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limiter = Limiter()
        self._services: dict[Node, Service] = {}
        self._starting: dict[Job, Service] = {}
        """Those that a running script has started."""
        self._timer: asyncio.TimerHandle | None = None
        self.listeners: list[Callable[[Node], None]] = []
        """Called when a target's process has ended that nobody has stopped."""
        engine.on_job_end = self.job_ended
        engine.stores.on_open = self.adopt
        engine.stores.on_close = self.let_go
        engine.stores.on_renew.append(self._write_again)
        engine.stores.resting.keepers.append(self._workspaces)

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())

    @property
    def supervises(self) -> bool:
        """Something runs that is looked after, so the server does not go because it is idle."""
        return any(service.is_running for service in [*self._services.values(), *self._starting.values()])

    def find(self, node: Node | None) -> Service | None:
        return None if node is None else self._services.get(node)

    async def start(
        self, run: Run, order: Order, condition: Condition, stop_signal: int, patience: float, teller: Teller
    ) -> None:
        """Start the service of a running script's target, in place of its last one; return when it is ready.

        Raises ServiceError, also when it ends before that, or takes longer than `patience` seconds.
        """
        job = run.job
        workspace = self._engine.stores.of(job.node)
        if workspace is None or job.cancelled:
            raise ServiceError("the target whose script starts it is not being built any more")
        if job in self._starting:
            raise ServiceError("a script can start one service; make a target for each")
        record = Record(
            target=relative(job.node.path, workspace.root).hex(), token=secrets.token_hex(16), boot=boot_id(),
            since=time.time(), stop_signal=stop_signal, command=shlex.join(map(os.fsdecode, order.argv)),
        )  # fmt: skip
        service = self._starting[job] = Service(job.node, record, workspace)
        try:
            await self._replace(service, teller)
            await self._launch(service, order, condition, patience)
        except BaseException:
            # When the script was ended `job_ended` has done it already.
            if self._starting.pop(job, None) is not None:
                self._discard(service)
            raise

    async def _replace(self, service: Service, teller: Teller) -> None:
        """Stop the last one, and wait where it died young."""
        last = self._services.get(service.node)
        if last is None:
            return
        name = show(last.record.name)
        if last.is_running:
            await self.stop(last)
        elif last.ended_at and not last.is_stopped:
            teller.complain(
                f"{name} {last.how_it_ended()}; it is started again. It had printed last:{last.last_lines()}"
            )
            if delay := last.delay:
                teller.complain(f"it died young {last.early_ends} times; waiting {delay:.1f} s before the next start")
                await asyncio.sleep(delay)
        service.early_ends = last.early_ends
        service.record = service.record.model_copy(update={"restarts": last.record.restarts + 1})

    async def _launch(self, service: Service, order: Order, condition: Condition, patience: float) -> None:
        pipe = ReadyPipe() if condition.descriptor is not None else None
        try:
            self._spawn(service, order, condition, pipe)
            await self._wait_ready(service, condition, pipe, patience)
        finally:
            if pipe is not None:
                pipe.close()

    def _spawn(self, service: Service, order: Order, condition: Condition, pipe: ReadyPipe | None) -> None:
        # First the record with the token alone: after a crash right behind the spawn the process is found by it.
        records, record = service.records, service.record
        try:
            records.write(record)
            log = records.open_log(record.name)
        except OSError as error:
            raise ServiceError(f"its record or log cannot be written: {error}") from error
        environment = {**order.environment, b"REDOD_SERVICE": record.token.encode()}
        ready = None if pipe is None or condition.descriptor is None else (pipe.theirs, condition.descriptor)
        self._engine.jobservers.hide()
        try:
            identity = spawn(order._replace(environment=environment, ready=ready), log, self._limiter)
        finally:
            os.close(log)
            if pipe is not None:
                pipe.close_theirs()
        service.record = record.model_copy(update={"pid": identity.pid, "started": identity.started})
        service.process = ServiceProcess(self._engine.loop, identity, lambda: self._ended(service), is_child=True)
        self._engine.spawner.children.add(identity.pid)
        records.write(service.record)

    async def _wait_ready(
        self, service: Service, condition: Condition, pipe: ReadyPipe | None, patience: float
    ) -> None:
        process = service.process
        assert process is not None
        end = asyncio.ensure_future(process.wait_end())
        ready = asyncio.ensure_future(self._ready(service, process, condition, pipe))
        try:
            await asyncio.wait([end, ready], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
            if end.done():
                raise ServiceError(
                    f"{service.record.command} {service.how_it_ended()} before it was ready; a service has to stay in"
                    f" the foreground. It printed:{service.last_lines()}"
                )
            if not ready.done():
                raise ServiceError(f"{service.record.command} was not ready within {patience:g} s (--ready-timeout)")
        finally:
            for task in (end, ready):
                task.cancel()

    async def _ready(
        self, service: Service, process: ServiceProcess, condition: Condition, pipe: ReadyPipe | None
    ) -> None:
        if pipe is not None:
            await wait_line_on(self._engine.loop, pipe)
        elif condition.port is not None:
            await wait_port(process, condition.port)
        elif condition.line is not None:
            await wait_printed(service.log_path, condition.line)
        else:
            await asyncio.sleep(SETTLING)
            if process.has_exited:
                # All that while we may have stood still.
                await process.wait_end()

    def job_ended(self, job: Job, status: int) -> None:
        """A script is over: what it has started is its target's now, or goes."""
        succeeded = status == 0 and not job.cancelled
        new = self._starting.pop(job, None)
        last = self._services.get(job.node)
        if new is not None and not succeeded:
            self._discard(new)
        elif new is not None:
            self._keep(new, job.session.number)
        elif last is not None and succeeded:
            # Its script starts none any more.
            self._discard(last)
            del self._services[job.node]
            self._tell(job.node, has_ended=False)

    def _keep(self, service: Service, session: int) -> None:
        service.record = service.record.model_copy(update={"committed": True})
        self._services[service.node] = service
        self._write(service)
        self._tell(service.node, has_ended=not service.is_running)
        telling.service_changed(self._engine.feed, service.node, session, running=True, pid=service.record.pid)
        self._look_after_logs()

    def _discard(self, service: Service) -> None:
        """End a service that is nobody's target, without waiting for it."""
        last = self._services.get(service.node)
        if last is None or last is service:
            service.records.remove(service.record.name)
        else:
            # The one before it has ended, and its record says so.
            self._write(last)
        service.is_stopped = True
        if service.process is not None and service.is_running:
            self._engine.tasks.start(service.process.stop, service.record.stop_signal)

    def _write_again(self, workspace: OpenWorkspace) -> None:
        """The records of its services were removed."""
        for service in [*self._services.values(), *self._starting.values()]:
            if service.workspace == workspace.number:
                self._write(service)

    @staticmethod
    def _write(service: Service) -> None:
        """The service goes on without a record that cannot be written."""
        try:
            service.records.write(service.record)
        except OSError as error:
            _log.error("the record of service %s cannot be written: %s", show(service.record.name), error)

    async def stop(self, service: Service) -> None:
        """End a service by order; its target is out of date then."""
        service.is_stopped = True
        if service.process is not None:
            await service.process.stop(service.record.stop_signal)

    def _ended(self, service: Service) -> None:
        if service.process is not None:
            self._engine.spawner.children.discard(service.process.pid)
        service.note_end()
        telling.service_changed(self._engine.feed, service.node, 0, running=False, pid=service.record.pid)
        if self._services.get(service.node) is service:
            _log.info("service %s %s", os.fsdecode(service.node.path), service.how_it_ended())
            self._tell(service.node, has_ended=True)
            if not service.is_stopped:
                for listener in list(self.listeners):
                    listener(service.node)

    def adopt(self, workspace: OpenWorkspace) -> None:
        """Find the services again that an earlier server has left in a workspace that has just been opened."""
        boot = boot_id()
        for record in list(Records(workspace.directory)):
            node = self._engine.graph.node(join(workspace.root, record.name))
            service = Service(node, record, workspace)
            if record.pid and record.boot == boot:
                try:
                    service.process = ServiceProcess(
                        self._engine.loop,
                        Identity(record.pid, record.started),
                        lambda service=service: self._ended(service),  # type: ignore[misc]  # a default binds it now
                        is_child=False,
                    )
                except ServiceError:
                    service.ended_at = time.monotonic()
            if not record.committed:
                # The server died while the script ran: the next build starts another.
                self._abandon(service)
                continue
            self._services[node] = service
            if not service.is_running:
                self._tell(node, has_ended=True)
        self._look_after_logs()

    def _abandon(self, service: Service) -> None:
        service.records.remove(service.record.name)
        if service.process is None and not service.record.pid:
            service.process = self._by_token(service)
        if service.process is not None:
            service.is_stopped = True
            service.process.kill()
        # What its script had replaced is gone as well.
        self._tell(service.node, has_ended=True)

    def _by_token(self, service: Service) -> ServiceProcess | None:
        """The process that carries the record's token, if the server died before it could note the pid."""
        identity = find_with(b"REDOD_SERVICE=" + service.record.token.encode())
        if identity is None:
            return None
        try:
            return ServiceProcess(self._engine.loop, identity, lambda: None, is_child=False)
        except ServiceError:
            return None

    def let_go(self, workspace: OpenWorkspace) -> None:
        """The workspace is given up: its services go on, and whoever opens it next looks after them."""
        for service in [service for service in self if service.workspace == workspace.number]:
            del self._services[service.node]
            self._tell(service.node, has_ended=False)

    def _workspaces(self) -> set[bytes]:
        """The roots of the open workspaces in which a service runs."""
        numbers = {service.workspace for service in self if service.is_running}
        return {workspace.root for workspace in self._engine.stores if workspace.number in numbers}

    async def stop_all(self) -> None:
        """End all services: the server ends."""
        await asyncio.gather(*(self.stop(service) for service in list(self._services.values())))

    def _tell(self, node: Node, *, has_ended: bool) -> None:
        self._engine.post(events.ServiceChanged(node, has_ended))

    def _look_after_logs(self) -> None:
        if self._timer is None and self.supervises:
            self._timer = self._engine.loop.call_later(_HOUSEKEEPING, self._cut_logs)

    def _cut_logs(self) -> None:
        self._timer = None
        for service in self._services.values():
            service.records.cut_log(service.record.name)
        self._look_after_logs()

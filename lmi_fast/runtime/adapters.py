"""Adapts libraries to overlapping invocations, each at the moment it is imported and before anybody uses it.

They keep in one place for all what belongs to one invocation, because there used to be one at a time. The adapters are
in observe/; they are imported with the library they are for, and not before.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# A module, and the function of a module in observe/ that adapts it.
STANDARD = {
    "concurrent.futures.thread": ("stdlib", "inherit_in_executors"),
    "subprocess": ("stdlib", "give_trace_id_to_children"),
}
LIBRARIES = {
    "aws_xray_sdk.core.context": ("xray", "adapt"),
    "aws_xray_sdk.core.lambda_launcher": ("xray", "adapt"),
    "aws_lambda_powertools.logging.formatter": ("powertools_logger", "adapt_formatter"),
    "aws_lambda_powertools.logging.logger": ("powertools_logger", "adapt_logger"),
    "aws_lambda_powertools.metrics.provider.base": ("powertools_metrics", "adapt_decorator"),
    "aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch": ("powertools_metrics", "adapt_provider"),
    "aws_lambda_powertools.metrics.provider.datadog.datadog": ("powertools_metrics", "adapt_datadog"),
    "aws_lambda_powertools.metrics.metrics": ("powertools_metrics", "adapt_metrics"),
    "aws_lambda_powertools.tracing.tracer": ("powertools_tracer", "adapt"),
    "aws_lambda_powertools.middleware_factory.factory": ("powertools_threads", "adapt"),
    "aws_lambda_powertools.event_handler.api_gateway": ("powertools_router", "adapt"),
    "aws_lambda_powertools.event_handler.middlewares.async_utils": ("powertools_router", "adapt_middlewares"),
    "aws_lambda_powertools.event_handler.graphql_appsync.router": ("powertools_router", "adapt_appsync"),
    "aws_lambda_powertools.event_handler.events_appsync.router": ("powertools_router", "adapt_appsync"),
    "aws_lambda_powertools.event_handler.bedrock_agent_function": ("powertools_router", "adapt_bedrock"),
    "aws_lambda_powertools.utilities.batch.base": ("powertools_batch", "adapt"),
    "aws_lambda_powertools.shared.cache_dict": ("powertools_idempotency", "adapt_cache"),
    "aws_lambda_powertools.utilities.idempotency.config": ("powertools_idempotency", "adapt_config"),
    "aws_lambda_powertools.utilities.idempotency.persistence.base": ("powertools_idempotency", "adapt_persistence"),
    "aws_lambda_powertools.utilities.idempotency.base": ("powertools_idempotency", "adapt_handler"),
    "aws_lambda_powertools.utilities.idempotency.idempotency": ("powertools_idempotency", "adapt_decorators"),
}
# A module, and the function of one in observe/ that knows what of it cannot be called in some handlers.
WARNINGS = {
    "aws_lambda_powertools.utilities.batch.decorators": ("powertools_batch", "warn_about"),
}

_log = logging.getLogger("lmi_fast")


def adapt_on_import(adapters: dict[str, tuple[str, str]]) -> None:
    """From now on what these name is adapted when it is imported; at once, if it is already."""
    for name in adapters:
        if name in sys.modules:
            _adapt(sys.modules[name], adapters[name])
    sys.meta_path.insert(0, _Finder(adapters))


def warn_about(handler: Any) -> None:
    """Logs what can be told of a handler before it is called: that something it has imported will not work in it."""
    for name, (where, function) in WARNINGS.items():
        if name in sys.modules:
            try:
                getattr(import_module(f"lmi_fast.observe.{where}"), function)(handler, sys.modules[name])
            except Exception:  # of a version that is not known
                _log.debug("cannot look for calls of %s", name, exc_info=True)


def _adapt(module: ModuleType, adapter: tuple[str, str]) -> None:
    where, function = adapter
    try:
        getattr(import_module(f"lmi_fast.observe.{where}"), function)(module)
    except Exception:  # of a version that is not known; it works, as far as invocations do not overlap
        _log.warning(
            "%s is of a version that lmi_fast cannot adapt: what it keeps may get mixed up between invocations",
            module.__name__,
            exc_info=True,
        )


# Not of the classes in importlib.abc: importing these takes 5 ms.


class _Finder:
    def __init__(self, adapters: dict[str, tuple[str, str]]) -> None:
        self._adapters = adapters

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._adapters:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _AdaptingLoader(spec.loader, self._adapters[name])  # type: ignore[assignment]
                return spec
        return None


class _AdaptingLoader:
    """Executes a module as its own loader does, which is all that is left to see afterwards, and adapts it."""

    def __init__(self, loader: Any, adapter: tuple[str, str]) -> None:
        self._loader = loader
        self._adapter = adapter

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        spec.loader = self._loader
        try:
            module: ModuleType | None = self._loader.create_module(spec)
        finally:
            spec.loader = self  # type: ignore[assignment]
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _adapt(module, self._adapter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

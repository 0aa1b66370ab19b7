"""Powertools' Tracer: the subsegment of an async handler is open for as long as the handler runs."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from ..runtime.handler import returns_coroutine


def adapt(module: ModuleType) -> None:
    """Of aws_lambda_powertools.tracing.tracer. Whose subsegment is whose is the business of xray.py."""
    capture = module.Tracer.capture_lambda_handler

    @functools.wraps(capture)
    def capture_lambda_handler(
        self: Any, lambda_handler: Any = None, capture_response: Any = None, capture_error: Any = None
    ) -> Any:
        if lambda_handler is None:
            return functools.partial(
                capture_lambda_handler, self, capture_response=capture_response, capture_error=capture_error
            )
        if not returns_coroutine(lambda_handler):
            return capture(self, lambda_handler, capture_response, capture_error)

        @functools.wraps(lambda_handler)
        async def annotated(event: Any, context: Any, **kwargs: Any) -> Any:
            try:
                return await lambda_handler(event, context, **kwargs)
            finally:
                self.provider.put_annotation(key="ColdStart", value=module._is_cold_start())
                if self.service:
                    self.provider.put_annotation(key="Service", value=self.service)

        # Of any other async function Powertools does trace the whole.
        annotated.__qualname__ = annotated.__name__ = lambda_handler.__name__
        traced = self._decorate_async_function(
            method=annotated,
            capture_response=_switch(module, module.constants.TRACER_CAPTURE_RESPONSE_ENV, capture_response),
            capture_error=_switch(module, module.constants.TRACER_CAPTURE_ERROR_ENV, capture_error),
            method_name=lambda_handler.__name__,
        )
        return functools.wraps(lambda_handler)(traced)

    module.Tracer.capture_lambda_handler = capture_lambda_handler


def _switch(module: ModuleType, variable: str, choice: Any) -> Any:
    return module.resolve_truthy_env_var_choice(env=module.os.getenv(variable, "true"), choice=choice)

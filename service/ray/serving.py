"""The app under Ray Serve: as many replicas as the load needs, behind bounded queues.

`serve run service.ray.serving:build` serves it; `deploy/ray/serve.yaml` lists every argument.
"""

import math

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from service.app import create_app
from service.process_setup import configure_process
from service.ray.scaling import Scale

_LAST_REPLIES_S = 5


class _Replica:
    """The methods that Ray Serve calls on a replica."""

    def check_health(self) -> None:
        """Raise unless the app is ready; Ray then replaces the replica."""
        _ = self.app.state.runtime.ready_model  # type: ignore[attr-defined]


def build(scale: Scale) -> Application:
    """Return the application that Ray Serve runs.

    A replica accepts as many requests as the app itself would. Further requests wait at the proxies, and what exceeds
    their queues is refused (`service.ray.proxy_errors`). A replica that stops gets no more requests, finishes those
    that it has, and shuts down as the app does under its own server.
    """
    configure_process()  # Ray must not report its use to its maker
    settings = scale.app_settings
    accepted = settings.admission_limits(math.ceil(scale.cpus)).uploads

    ingress = serve.ingress(lambda: create_app(settings))(_Replica)
    deployment = serve.deployment(
        name="fetal-planes",
        ray_actor_options={"num_cpus": scale.cpus},
        max_ongoing_requests=accepted,
        max_queued_requests=accepted if scale.max_queued_requests is None else scale.max_queued_requests,
        max_replicas_per_node=scale.max_replicas_per_node,  # type: ignore[arg-type]  # None is its default
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.min_replicas,
            max_replicas=scale.max_replicas,
            target_ongoing_requests=scale.target_requests_per_cpu * scale.cpus,
        ),
        health_check_period_s=5,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=settings.upload_s + settings.deadline_s + _LAST_REPLIES_S,
    )(ingress)
    return deployment.bind()

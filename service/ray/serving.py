"""The app under Ray Serve: the same app, as many times as it takes, behind queues that are bounded.

`serve run service.ray.serving:build` serves it; `deploy/ray/serve.yaml` has every choice.
"""

import math

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from service.app import create_app
from service.ray.scaling import Scale

_LAST_REPLIES_S = 5


class _Replica:
    """What Ray asks of a replica beyond requests."""

    def check_health(self) -> None:
        """Raise unless the app is ready; Ray then replaces the replica."""
        _ = self.app.state.service.ready  # type: ignore[attr-defined]


def build(scale: Scale) -> Application:
    """The application that Ray Serve runs.

    A replica takes in what the app's own bounds allow; beyond it requests wait at the proxies, and beyond what may wait
    there they are refused, by `service.ray.proxy_errors`. A replica that is to go gets no more requests, finishes what
    it has, and then ends as the app does when its server stops.
    """
    settings = scale.app_settings
    places = settings.bounds(math.ceil(scale.cpus)).uploads

    def make_app() -> object:
        return create_app(settings)

    ingress = serve.ingress(make_app)(_Replica)
    deployment = serve.deployment(
        name="fetal-planes",
        ray_actor_options={"num_cpus": scale.cpus},
        max_ongoing_requests=places,
        max_queued_requests=places if scale.queued is None else scale.queued,
        max_replicas_per_node=scale.replicas_a_node,  # type: ignore[arg-type]  # None is its default
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.min_replicas,
            max_replicas=scale.max_replicas,
            target_ongoing_requests=scale.busy * scale.cpus,
        ),
        health_check_period_s=5,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=settings.upload_s + settings.deadline_s + _LAST_REPLIES_S,
    )(ingress)
    return deployment.bind()

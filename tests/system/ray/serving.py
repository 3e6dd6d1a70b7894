"""Serve a model on a Ray cluster. Arguments: address of the cluster, port on its head, model folder, scale as JSON."""

import json
import os
import sys

import ray
from ray import serve

from service.ray.scaling import Scale
from service.ray.serving import build


def main(address: str, port: str, model: str, scale: str) -> None:
    ray.init(address=address, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.2", "port": int(port), "location": "HeadOnly"})
    settings: dict[str, str | int | float] = {"model": model, "log_level": "warning", "max_requests": 4}
    serve.run(build(Scale(settings=settings, **json.loads(scale))), route_prefix="/")
    os._exit(0)  # the application keeps running


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What the process of `bench.judge.forks` does when it starts: it imports this file."""

import torch

import bench.data.transfer
import bench.engine.loop
import bench.judge.server  # noqa: F401
from bench.engine.warm import warm_up

torch.set_num_threads(1)  # threads would not survive a fork
warm_up()

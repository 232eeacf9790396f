"""The MPC controller, with an untrained model."""

from __future__ import annotations

import pytest


@pytest.fixture
def node(rig, tmp_path):
    from controller_bridge import untrained

    from mbmf_ros.dynamics.io import save_model
    from mbmf_ros.nodes.mpc_controller import MpcControllerNode

    file = tmp_path / "model.safetensors"
    save_model(file, *untrained())
    return rig.add(MpcControllerNode, model_path=str(file), icem__batch_size=16, icem__time_steps=5, plan_rows=3)

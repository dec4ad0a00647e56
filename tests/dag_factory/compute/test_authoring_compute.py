from __future__ import annotations

import pytest

from dag_factory import AmlCompute, ComputeTarget, ComputeTargetException, DefinitionError, Workspace


def test_a_created_target_is_of_the_very_class(ws):
    made = ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration(vm_size="BIG", max_nodes=4))
    made.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    assert "cpu" in ws.compute_targets
    assert type(ws.compute_targets["cpu"]) is AmlCompute
    assert type(ComputeTarget(ws, "cpu")) is AmlCompute
    assert type(ComputeTarget(workspace=ws, name="cpu")) is AmlCompute


def test_another_process_finds_it(ws, project):
    ComputeTarget.create(ws, "cpu", AmlCompute.provisioning_configuration("BIG", min_nodes=1, max_nodes=4))
    found = Workspace.from_config(project.folder).compute_targets["cpu"]
    assert found.vm_size == "BIG"
    assert found.status.serialize()["scaleSettings"] == {
        "minNodeCount": 1,
        "maxNodeCount": 4,
        "nodeIdleTimeBeforeScaleDown": 1800,
    }
    assert found.provisioning_state == "Succeeded"


def test_every_workspace_has_one(ws):
    assert type(ws.compute_targets["local"]) is ComputeTarget
    assert ws.compute_targets["local"].type == "local"


def test_an_unknown_target_raises_the_exception_of_the_reference(ws):
    with pytest.raises(ComputeTargetException, match="'gpu'"):
        ComputeTarget(ws, "gpu")


def test_a_target_of_another_class_is_refused(ws):
    with pytest.raises(ComputeTargetException, match="is no AmlCompute"):
        AmlCompute(ws, "local")


def test_any_kind_can_be_attached(ws):
    target = ComputeTarget.attach(ws, "box", ComputeTarget.attach_configuration("local", cores=4))
    target.wait_for_completion(True)
    assert (target.type, target.options) == ("local", {"cores": 4})
    target.detach()
    assert "box" not in ws.compute_targets


def test_a_configuration_of_something_else_is_refused(ws):
    with pytest.raises(TypeError, match="provisioning_configuration"):
        ComputeTarget.create(ws, "cpu", {"vm_size": "BIG"})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"min_nodes": 3, "max_nodes": 1}, "min_nodes <= max_nodes"),
        ({"vm_priority": "cheap"}, "'lowpriority'"),
    ],
)
def test_wrong_provisioning_is_refused(options, text):
    with pytest.raises(DefinitionError, match=text):
        AmlCompute.provisioning_configuration(**options)


def test_passwords_are_not_kept(ws, project):
    ComputeTarget.create(
        ws, "cpu", AmlCompute.provisioning_configuration("BIG", admin_user_password="hunter2")
    )
    kept = b"".join(ws.core.store.get(info.path) for info in ws.core.store.walk("compute"))
    assert b"BIG" in kept
    assert b"hunter2" not in kept


def test_it_takes_the_options_of_the_target_that_the_workspace_names_for_it(ws, project):
    file = project.folder / "workspace.yaml"
    sizes = "vm_sizes: {STANDARD_NC6: {cpus: 6, memory: 56g, gpus: 1}}"
    file.write_text(
        file.read_text()
        + f"amlcompute: box\ncompute_targets: {{box: {{type: docker, image: mine, {sizes}}}}}\n"
    )
    ws = Workspace.from_config(project.folder)
    made = ComputeTarget.create(ws, "gpu", AmlCompute.provisioning_configuration("Standard_NC6", max_nodes=4))
    assert (type(made), made.type) == (AmlCompute, "docker")
    assert (made.options["image"], made.options["max_nodes"]) == ("mine", 4)
    with pytest.raises(
        ComputeTargetException, match="there is no 'HUGE' in its vm_sizes. There are: STANDARD_NC6"
    ):
        ComputeTarget.create(ws, "other", AmlCompute.provisioning_configuration("HUGE"))

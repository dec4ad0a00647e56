import pytest

from airflow_ml_pipelines.testing import AirflowApiError


@pytest.mark.parametrize(
    ("value", "words"),
    [("two", ["alpha", "integer"]), (99, ["alpha", "maximum of 9"]), (-1, ["alpha", "minimum of 0"])],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(flows, value, words):
    flow = flows["always"]
    flow.airflow.wait_for_dag(flow.name)
    with pytest.raises(AirflowApiError) as caught:
        flow.airflow.trigger(flow.name, {"alpha": value})
    assert caught.value.status == 400
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_parameter_fails_the_plan_and_nothing_runs(flow):
    run = flow.run(alhpa=2)
    assert run.state == "failed"
    assert run.states == dict.fromkeys(run.states, "upstream_failed") | {"plan": "failed"}
    assert "there is no parameter 'alhpa'. Did you mean 'alpha'?" in run.log("plan")
    assert flow.ran() == []

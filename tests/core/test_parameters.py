import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import ParameterError
from airflow_ml_pipelines.core.parameters import argument_text, check_parameters, check_value, read_data
from airflow_ml_pipelines.core.spec import Data, Location, ParameterSpec, RegisteredDataset

LR = ParameterSpec(name="lr", type="number", default=0.1, minimum=0, maximum=1)
KIND = ParameterSpec(name="kind", type="string", default="svm", enum=("svm", "tree"))
COUNT = ParameterSpec(name="count", type="integer", required=True)
FAST = ParameterSpec(name="fast", type="boolean", default=False)


@pytest.mark.parametrize(
    ("spec", "value"), [(LR, 0.5), (LR, 1), (KIND, "tree"), (COUNT, 3), (COUNT, -3), (FAST, True)]
)
def test_values_of_the_type_are_taken(spec, value):
    assert check_value(spec, value) == value


def test_an_integer_for_a_number_becomes_a_float():
    assert repr(check_value(LR, 1)) == "1.0"


@pytest.mark.parametrize(
    ("spec", "value", "text"),
    [
        (LR, "0.5", "'lr' takes number, at least 0 and at most 1, not '0.5' (str)"),
        (LR, 2, "not 2 (int)"),
        (LR, True, "not True (bool)"),
        (LR, 10**400, "(int)"),
        (LR, float("nan"), "not nan (float)"),
        (LR, float("inf"), "not inf (float)"),
        (KIND, "forest", "'kind' takes string, one of 'svm', 'tree', not 'forest' (str)"),
        (COUNT, 1.0, "not 1.0 (float)"),
        (COUNT, True, "not True (bool)"),
        (COUNT, None, "not None (NoneType)"),
        (FAST, 1, "not 1 (int)"),
        (KIND, "x" * 10_000, "…"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(spec, value, text):
    with pytest.raises(ParameterError) as caught:
        check_value(spec, value)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 500


def test_defaults_fill_in_and_all_problems_come_at_once():
    assert check_parameters([LR, KIND], {"kind": "tree"}) == {"lr": 0.1, "kind": "tree"}
    with pytest.raises(ParameterError) as caught:
        check_parameters([LR, COUNT], {"lr": 7, "cuont": 1})
    assert len(str(caught.value).splitlines()) == 3
    assert "Did you mean 'count'?" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"datastore": "d", "path": "p"}, Data(locations=(Location(datastore="d", path="p"),))),
        ({"DataStoreName": "d", "RelativePath": "p"}, Data(locations=(Location(datastore="d", path="p"),))),
        ({"url": "https://example.org/x"}, Data(locations=(Location(path="https://example.org/x"),))),
        ({"dataset": "n"}, RegisteredDataset(dataset="n")),
        ({"dataset": "n", "version": 2}, RegisteredDataset(dataset="n", version=2)),
        ({"type": "data", "locations": [{"path": "p"}]}, Data(locations=(Location(path="p"),))),
    ],
)
def test_data_is_read_in_every_form(value, read):
    assert read_data(value) == read


@pytest.mark.parametrize(
    "value", ["p", 3, None, [], {}, {"path": 3}, {"dataset": "n", "version": "2"}, {"x": 1}]
)
def test_what_is_no_data_is_refused(value):
    with pytest.raises(ParameterError, match="expected data as"):
        read_data(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_from_its_text(value):
    assert float(argument_text(value)) == value

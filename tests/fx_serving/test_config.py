"""serving.yaml: what is accepted, what a mistake is told, and which policy is in force."""

import math

import pytest
import yaml

from fx_serving.client.policy_keys import POLICY_KEYS
from fx_serving.config import ConfigError, RolloutPolicy, ServingConfig, load_config


def written(home, content: dict) -> ServingConfig:
    path = home / "config" / "serving.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return load_config(home)


def test_the_policy_names_that_others_may_write_are_those_it_has():
    assert set(RolloutPolicy.model_fields) == POLICY_KEYS


def test_a_request_changes_the_models_policy_which_changes_the_default(tmp_path):
    config = written(
        tmp_path,
        {
            "rollout": {"window_s": 30, "steps": [10, 100], "alpha": 0.02},
            "models": {"move": {"rollout": {"window_s": 20, "max_p99_ms": 50, "max_sharpe_drop": None}}},
        },
    )
    policy = config.policy("move", {"max_p99_ms": 80})
    assert (policy.alpha, policy.window_s, policy.max_p99_ms, policy.max_sharpe_drop) == (0.02, 20, 80, None)
    assert [step.weight for step in policy.steps] == [10, 100]
    other = config.policy("other")
    assert (other.window_s, other.max_p99_ms, other.max_sharpe_drop) == (30, 200, 0.2)


def test_a_step_falls_back_to_the_policys_window_and_requests():
    policy = RolloutPolicy.model_validate(
        {"steps": [{"weight": 5, "window_s": 7, "min_requests": 9}, 100], "window_s": 3, "min_requests": 4}
    )
    assert [(policy.window_of(n), policy.requests_of(n)) for n in (0, 1)] == [(7, 9), (3, 4)]


def test_a_stored_policy_is_read_back():
    policy = RolloutPolicy.model_validate(
        {
            "steps": [
                {"weight": 5, "instruments": ["A"]},
                {"weight": 5, "instruments": ["B", "A"], "approval": True},
                100,
            ]
        }
    )
    assert RolloutPolicy.model_validate(policy.model_dump(mode="json")) == policy
    # As earlier versions stored it: weights alone.
    old = RolloutPolicy.model_validate({"steps": [5.0, 50.0, 100.0], "hold_timeout_s": 600.0, "min_requests": 50})
    assert (old.steps[0].instruments, old.hold_timeout_s, old.min_requests) == (None, 600, 50)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [5],
        [50, 5, 100],
        [5, 5, 100],
        ["x", 100],
        [True, 100],
        [0, 100],
        [101],
        [{"weight": 5, "instruments": 0}, 100],
        [{"weight": 5, "instruments": []}, 100],
        [5, {"weight": 10, "instruments": 2}, 100],
        [{"weight": 5, "instruments": 3}, {"weight": 10, "instruments": 2}, 100],
        [{"weight": 5, "instruments": ["A"]}, {"weight": 10, "instruments": ["B", "C"]}, 100],
        [{"weight": 5, "instruments": ["A"]}, {"weight": 10, "instruments": 2}, 100],
        [5, {"weight": 100, "instruments": 2}],
        [{"weight": 5, "wait": 3}, 100],
    ],
    ids=str,
)
def test_steps_that_would_send_a_request_back_to_blue_are_refused(tmp_path, steps):
    with pytest.raises(ConfigError, match=r"rollout\.steps"):
        written(tmp_path, {"rollout": {"steps": steps}})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"prot": 1}, "prot: 1: no such setting"),
        ({"limits": {"body_bytes": 0}}, "limits.body_bytes: 0"),
        ({"rollout": {"max_error_rate": 1}}, "rollout.max_error_rate: 1"),
        ({"models": {"move": {"rollout": {"window": 3}}}}, "move.rollout.window: 3"),
        ({"models": {"move": {"rollout": {"steps": [5]}}}}, r"move.rollout.steps: \[5\]: must rise"),
        ({"models": {"move": {"max_feature_age_s": {"market_features": -1}}}}, "max_feature_age_s.market_features"),
        ({"lease": {"renew_s": 8, "expire_s": 8}}, "lease: .*renew_s must be less than expire_s"),
        ({"lease": {"expire_s": 1}}, "lease: .*renew_s must be less than expire_s"),
        ({"lease": {"expire_s": math.inf}}, "lease.expire_s: inf: .*finite"),
        ({"sidecar": {"deadline_ms": math.nan}}, "sidecar.deadline_ms: nan"),
        ({"rollout": {"max_error_rate": math.nan}}, "rollout.max_error_rate: nan"),
        ({"rollout": {"hold_timeout_s": -math.inf}}, "rollout.hold_timeout_s: -inf"),
        ({"access": {"cors_origins": ["*"]}}, "access.cors_origins.0"),
        ({"access": {"cors_origins": ["https://desk.example/path"]}}, "access.cors_origins.0"),
        ({"access": {"tls_cert": "a.pem"}}, "tls_cert and tls_key belong together"),
        ({"access": {"tls_client_ca": "a.pem"}}, "needs tls_cert and tls_key"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, content, told):
    with pytest.raises(ConfigError, match=told) as caught:
        written(tmp_path, content)
    assert "serving.yaml" in str(caught.value)
    assert "remove the line for the default" in str(caught.value)

package csr.approval.limits_test

import data.csr.approval.example_test
import data.csr.approval.limits

test_a_kubelet_s_request_is_within_all_limits if {
	limits.passed == {"subject", "extensions", "key", "expiration", "age", "rate", "node"}
		with input as example_test.serving
	limits.failed == set() with input as example_test.serving
}

test_strong_keys_pass if {
	every key in [
		{"type": "ECDSA", "bits": 384}, {"type": "Ed25519", "bits": 256},
		{"type": "RSA", "bits": 2048}, {"type": "RSA", "bits": 4096},
	] {
		"key" in limits.passed with input as _with({"request": {"key": key}})
	}
	every key in [{"type": "RSA", "bits": 1024}, {"type": "RSA", "bits": 2047}, {"type": "DSA", "bits": 4096}] {
		not "key" in limits.passed with input as _with({"request": {"key": key}})
	}
}

test_a_certificate_may_be_valid_for_as_long_as_the_data_says if {
	every seconds in [null, 600, 31708800] {
		"expiration" in limits.passed with input as _with({"expiration_seconds": seconds})
	}
	"expiration" in limits.failed with input as _with({"expiration_seconds": 31708801})
	not "expiration" in limits.passed with input as _with({"expiration_seconds": 31708801})
	"expiration" in limits.failed with input as _with({"expiration_seconds": 601})
		with data.csr.limits as {"max_expiration_seconds": 600}
}

test_a_limit_that_is_no_number_is_the_usual_one if {
	every limit in [null, "601", [601], {}] {
		"expiration" in limits.failed with input as _with({"expiration_seconds": 31708801})
			with data.csr.limits as {"max_expiration_seconds": limit}
	}
}

test_requests_are_young if {
	every age in [-300, 0, 3600] {
		"age" in limits.passed with input as _with({"age_seconds": age})
	}
	every age in [-301, 3601, null] {
		not "age" in limits.passed with input as _with({"age_seconds": age})
	}
}

test_a_node_asks_now_and_then if {
	every existing in [{"approved_last_hour": 10}, {"pending": 20}] {
		not "rate" in limits.passed with input as _with({"existing": existing})
		"rate" in limits.passed with input as _with({"existing": existing})
			with data.csr.limits as {"approvals_per_hour": 100, "pending": 100}
	}
}

test_nothing_beside_names_is_asked_for if {
	every request in [
		{"certificate_authority": true},
		{"attributes": ["1.2.840.113549.1.9.7"]},
		{"extensions": [{"oid": "2.5.29.30", "critical": true}]},
	] {
		not "extensions" in limits.passed with input as _with({"request": request})
	}
}

test_a_subject_has_two_attributes if {
	organization := {"type": "O", "value": "system:nodes"}
	name := {"type": "CN", "value": "system:node:worker-1"}
	"subject" in limits.passed with input as _with({"request": {"subject": {"attributes": [name, organization]}}})
	every attributes in [
		[], [name], [organization], [name, name], [organization, name, name],
		[organization, name, {"type": "OU", "value": "admins"}],
	] {
		not "subject" in limits.passed with input as _with({"request": {"subject": {"attributes": attributes}}})
	}
}

_with(change) := object.union(example_test.serving, change)

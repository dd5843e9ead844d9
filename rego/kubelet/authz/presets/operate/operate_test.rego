package kubelet.authz.presets.operate_test

import data.kubelet.authz.presets.operate

_entry := {
	"namespaces": ["shop"],
	"pods": ["db-0"],
	"pod_prefixes": ["web-"],
	"containers": ["app"],
	"exec": [
		{"command": ["df", "-h"]},
		{"command": ["sh"], "stdin": true, "tty": true},
	],
	"attach": {"stdin": true},
	"port_forward": true,
}

_pod := {"namespace": "shop", "pod": "db-0", "container": "app"}

_exec := object.union(_pod, {
	"endpoint": "exec",
	"exec": {"command": ["df", "-h"], "stdin": false, "stdout": true, "stderr": true, "tty": false, "env": {}},
})

_shell := object.union(_exec, {"exec": {"command": ["sh"], "stdin": true, "stderr": false, "tty": true}})

_attach := object.union(_pod, {
	"endpoint": "attach",
	"attach": {"stdin": true, "stdout": true, "stderr": true, "tty": false},
})

_port_forward := object.union(object.remove(_pod, ["container"]), {
	"endpoint": "portForward",
	"port_forward": {"ports": [], "ports_in_stream": true},
})

test_an_exact_command_is_granted if {
	operate.allow == {"operate/exec"} with input as _exec with data.kubelet.operate as [_entry]
}

test_another_command_is_not_granted if {
	every command in [
		[], ["df"], ["df", "-h", "/"], ["df -h"], ["-h", "df"], ["df", "-H"],
		["/bin/df", "-h"], ["sh", "-c", "df -h"], "df -h", null,
	] {
		operate.allow == set() with input as object.union(_exec, {"exec": {"command": command}})
			with data.kubelet.operate as [_entry]
	}
}

test_input_and_terminal_are_granted_by_command if {
	operate.allow == {"operate/exec"} with input as _shell with data.kubelet.operate as [_entry]
}

test_a_command_may_do_with_less_than_granted if {
	every streams in [{"stdin": false}, {"tty": false}, {"stdin": false, "tty": false}] {
		operate.allow == {"operate/exec"} with input as object.union(_shell, {"exec": streams})
			with data.kubelet.operate as [_entry]
	}
}

test_input_and_terminal_are_not_granted_unasked if {
	every streams in [{"stdin": true}, {"tty": true}, {"stdin": null}, {"tty": "false"}] {
		operate.allow == set() with input as object.union(_exec, {"exec": streams})
			with data.kubelet.operate as [_entry]
	}
}

test_the_audit_id_is_no_environment if {
	operate.allow == {"operate/exec"} with input as object.union(
		_exec,
		{"exec": {"env": {"KUBERNETES_EXEC_AUDIT_ID": "8d0c6a0e-1f0b-4e8b-9c59-0a3f7d2b6c11"}}},
	)
		with data.kubelet.operate as [_entry]
}

test_other_environment_is_not_granted if {
	every env in [
		{"LD_PRELOAD": "/tmp/evil.so"},
		{"KUBERNETES_EXEC_AUDIT_ID": "8d0c6a0e", "PATH": "/tmp"},
		{"kubernetes_exec_audit_id": "8d0c6a0e"},
	] {
		operate.allow == set() with input as object.union(_exec, {"exec": {"env": env}})
			with data.kubelet.operate as [_entry]
	}
}

test_an_unreadable_environment_is_not_granted if {
	operate.allow == set() with input as object.union(_exec, {"exec": object.remove(_exec.exec, ["env"])})
		with input.exec.env as null
		with data.kubelet.operate as [_entry]
}

test_output_is_attached_without_being_named if {
	operate.allow == {"operate/attach"} with input as object.union(_attach, {"attach": {"stdin": false}})
		with data.kubelet.operate as [object.union(object.remove(_entry, ["attach"]), {"attach": {}})]
}

test_attached_input_is_granted_by_name if {
	operate.allow == {"operate/attach"} with input as _attach with data.kubelet.operate as [_entry]
}

test_attached_input_and_terminal_are_not_granted_unasked if {
	every streams in [{"stdin": true, "tty": false}, {"stdin": false, "tty": true}] {
		operate.allow == set() with input as object.union(_attach, {"attach": streams})
			with data.kubelet.operate as [object.union(object.remove(_entry, ["attach"]), {"attach": {}})]
	}
}

test_an_entry_without_attach_grants_none if {
	operate.allow == set() with input as object.union(_attach, {"attach": {"stdin": false}})
		with data.kubelet.operate as [object.remove(_entry, ["attach"])]
}

test_port_forward_is_granted if {
	operate.allow == {"operate/port-forward"} with input as _port_forward with data.kubelet.operate as [_entry]
}

test_port_forward_is_granted_by_true_alone if {
	every value in [false, null, "true", 1, [8080]] {
		operate.allow == set() with input as _port_forward
			with data.kubelet.operate as [object.union(_entry, {"port_forward": value})]
	}
}

test_pods_are_named_or_prefixed if {
	every pod in ["db-0", "web-0", "web-7d4b9c6f5-x2x8z"] {
		operate.allow == {"operate/exec"} with input as object.union(_exec, {"pod": pod})
			with data.kubelet.operate as [_entry]
	}
}

test_other_pods_are_not_covered if {
	every request in [_exec, _attach, _port_forward] {
		every pod in ["db-1", "db-00", "db", "web", "webhook-0", "my-web-0", ""] {
			operate.allow == set() with input as object.union(request, {"pod": pod})
				with data.kubelet.operate as [_entry]
		}
	}
}

test_a_prefix_without_dash_covers_nothing if {
	every prefix in ["", "web", "we"] {
		operate.allow == set() with input as object.union(_exec, {"pod": "web-0"})
			with data.kubelet.operate as [object.union(_entry, {"pod_prefixes": [prefix]})]
	}
}

test_other_namespaces_are_not_covered if {
	every request in [_exec, _attach, _port_forward, object.union(_exec, {"pod": "web-0"})] {
		every namespace in ["default", "shop-2", "*", ""] {
			operate.allow == set() with input as object.union(request, {"namespace": namespace})
				with data.kubelet.operate as [_entry]
		}
	}
}

test_a_star_is_no_namespace if {
	operate.allow == set() with input as _exec
		with data.kubelet.operate as [object.union(_entry, {"namespaces": ["*"]})]
}

test_other_containers_are_not_covered if {
	every request in [_exec, _attach] {
		every container in ["debugger-x7k2p", "sidecar", ""] {
			operate.allow == set() with input as object.union(request, {"container": container})
				with data.kubelet.operate as [_entry]
		}
	}
}

test_a_star_covers_every_container if {
	operate.allow == {"operate/exec"} with input as object.union(_exec, {"container": "sidecar"})
		with data.kubelet.operate as [object.union(_entry, {"containers": ["*"]})]
}

test_entries_do_not_lend_each_other_pods_or_commands if {
	operate.allow == set() with input as _exec
		with data.kubelet.operate as [
			object.union(_entry, {"pods": ["db-1"]}),
			object.union(_entry, {"exec": [{"command": ["uptime"]}]}),
		]
}

test_other_endpoints_are_not_granted if {
	everything := object.union_n([_exec, _attach, _port_forward, {"run": {"command": ["df", "-h"]}}])
	every endpoint in ["run", "checkpoint", "containerLogs", "Exec", ""] {
		operate.allow == set() with input as object.union(everything, {"endpoint": endpoint})
			with data.kubelet.operate as [_entry]
	}
}

test_without_entries_nothing_is_granted if {
	every request in [_exec, _attach, _port_forward] {
		operate.allow == set() with input as request
	}
}

# METADATA
# title: What a running kubelet does
# description: Asked of a kubelet that was called, not of its settings.
package posture.probes

requirements := {
	"probe.anonymous": {"settings": ["answer to an anonymous request"], "scored": true, "if_shown": true},
	"probe.read-only-port": {"settings": ["port 10255"], "scored": true, "if_shown": true},
}

met contains "probe.anonymous" if input.settings["answer to an anonymous request"].value == 401

met contains "probe.read-only-port" if input.settings["port 10255"].value == "closed"

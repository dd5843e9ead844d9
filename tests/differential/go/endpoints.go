package main

import (
	"errors"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// named is an endpoint without parameters.
func named(endpoint string) handler {
	return func(_ *http.Request, _ map[string]string, document map[string]any) error {
		document["endpoint"] = endpoint
		return nil
	}
}

// at names a container. The UID of a path is read by nobody.
func at(endpoint string, parameters map[string]string, document map[string]any) {
	document["endpoint"] = endpoint
	document["namespace"] = parameters["podNamespace"]
	document["pod"] = parameters["podID"]
	if container, ok := parameters["containerName"]; ok {
		document["container"] = container
	}
}

// streams are the options of pkg/kubelet's `remotecommand.NewOptions`, which look into bodies too.
func streams(request *http.Request) map[string]any {
	is := func(name string) bool { return request.FormValue(name) == "1" }
	tty := is("tty")
	return map[string]any{
		"stdin": is("input"), "stdout": is("output"), "stderr": is("error") && !tty, "tty": tty,
	}
}

func exec(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("exec", parameters, document)
	command := streams(request)
	query := request.URL.Query()
	command["command"] = list(query["command"])
	env := map[string]string{}
	for _, pair := range query["env"] {
		key, value, ok := strings.Cut(pair, "=")
		if _, repeats := env[key]; !ok || key == "" || repeats {
			return errors.New("env")
		}
		env[key] = value
	}
	command["env"] = env
	document["exec"] = command
	return upgrade(request, document)
}

func attach(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("attach", parameters, document)
	document["attach"] = streams(request)
	return upgrade(request, document)
}

func run(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("run", parameters, document)
	command := strings.Split(request.URL.Query().Get("cmd"), " ")
	document["run"] = map[string]any{"command": command}
	return nil
}

// portForward reads ports only for a WebSocket that is no tunnel (`portforward.NewV4Options`).
func portForward(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("portForward", parameters, document)
	ports := []uint64{}
	inStream := !isWebSocket(request) || isTunnel(request)
	if !inStream {
		values := request.URL.Query()["port"]
		if len(values) == 0 {
			return errors.New("port")
		}
		for _, value := range values {
			for _, text := range strings.Split(value, ",") {
				port, err := strconv.ParseUint(text, 10, 16)
				if err != nil || port < 1 {
					return errors.New("port")
				}
				ports = append(ports, port)
			}
		}
	}
	document["port_forward"] = map[string]any{"ports": ports, "ports_in_stream": inStream}
	return upgrade(request, document)
}

// containerLogs decodes v1.PodLogOptions, after the older `tail`.
func containerLogs(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("containerLogs", parameters, document)
	query := request.URL.Query()
	if tail := query.Get("tail"); tail == "all" {
		delete(query, "tailLines")
	} else if tail != "" {
		query["tailLines"] = []string{tail}
	}
	// Whatever doesn't say no is a yes.
	flag := func(name string) bool {
		values := query[name]
		return len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
	}
	options := options{query: query}
	document["logs"] = map[string]any{
		"follow": flag("follow"), "previous": flag("previous"), "timestamps": flag("timestamps"),
		"since_seconds": options.number("sinceSeconds"), "since_time": options.time("sinceTime"),
		"tail_lines": options.number("tailLines"), "limit_bytes": options.number("limitBytes"),
		"stream": first(query["stream"]),
	}
	return options.err
}

func checkpoint(request *http.Request, parameters map[string]string, document map[string]any) error {
	at("checkpoint", parameters, document)
	timeouts := request.URL.Query()["timeout"]
	var seconds *int64
	if len(timeouts) > 0 {
		last, err := strconv.ParseInt(timeouts[len(timeouts)-1], 10, 64)
		if err != nil {
			return err
		}
		seconds = &last
	}
	document["checkpoint"] = map[string]any{"timeout_seconds": seconds}
	return nil
}

// nodeLogs is pkg/kubelet's `newNodeLogQuery`, and the file server that takes the rest. A value
// with a slash names a file, which the file server cleans; blank ones are dropped; of options, an
// empty value is none.
func nodeLogs(request *http.Request, _ map[string]string, document map[string]any) error {
	document["endpoint"] = "nodeLogs"
	below := strings.TrimPrefix(request.URL.Path, "/logs/")
	query := request.URL.Query()
	names := []string{}
	for _, value := range query["query"] {
		if strings.ContainsAny(value, `/\`) {
			names = append(names, path.Clean("/"+strings.ReplaceAll(value, `\`, "/")))
		} else if strings.TrimSpace(value) != "" {
			names = append(names, value)
		}
	}
	if query.Has("query") && len(names) == 0 {
		return errors.New("query")
	}
	for name, values := range query {
		if name != "query" && values[0] == "" {
			delete(query, name)
		}
	}
	options := options{query: query}
	document["node_logs"] = map[string]any{
		"path": strings.TrimPrefix(path.Clean("/"+below), "/"), "query": names,
		"since_time": options.time("sinceTime"), "until_time": options.time("untilTime"),
		"tail_lines": options.number("tailLines"), "boot": options.number("boot"),
		"pattern": first(query["pattern"]),
	}
	return options.err
}

func stats(request *http.Request, _ map[string]string, document map[string]any) error {
	document["endpoint"] = "stats"
	if err := request.ParseForm(); err != nil {
		return err
	}
	only := request.Form["only_cpu_and_memory"]
	document["stats"] = map[string]any{"only_cpu_and_memory": len(only) == 1 && only[0] == "true"}
	return nil
}

func metrics(source string) handler {
	return func(_ *http.Request, _ map[string]string, document map[string]any) error {
		document["endpoint"] = "metrics"
		document["metrics"] = map[string]any{"source": source}
		return nil
	}
}

func healthz(request *http.Request, parameters map[string]string, document map[string]any) error {
	document["endpoint"] = "healthz"
	query := request.URL.Query()
	var check *string
	if name, ok := parameters["check"]; ok {
		check = &name
	}
	document["healthz"] = map[string]any{
		"check": check, "verbose": query.Has("verbose"), "exclude": list(query["exclude"]),
	}
	return nil
}

func pprof(request *http.Request, _ map[string]string, document map[string]any) error {
	return debug("pprof", strings.TrimPrefix(request.URL.Path, "/debug/pprof/"), document)
}

var flags handler = func(_ *http.Request, _ map[string]string, document map[string]any) error {
	return debug("flags", "v", document)
}

func debug(kind, name string, document map[string]any) error {
	document["endpoint"] = "debug"
	document["debug"] = map[string]any{"kind": kind, "name": name}
	return nil
}

// options reads values of a query, and keeps an error.
type options struct {
	query map[string][]string
	err   error
}

func (o *options) number(name string) *int64 {
	text := first(o.query[name])
	if text == nil {
		return nil
	}
	number, err := strconv.ParseInt(*text, 10, 64)
	if err != nil {
		o.err = err
	}
	return &number
}

// time is the text of a time that Go can read.
func (o *options) time(name string) *string {
	text := first(o.query[name])
	if text != nil {
		if _, err := time.Parse(time.RFC3339, *text); err != nil {
			o.err = err
		}
	}
	return text
}

func first(values []string) *string {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}

func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}

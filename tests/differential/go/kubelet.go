package main

import (
	"net/http"
	"strings"
)

// newKubelet has the patterns of a kubelet of Kubernetes 1.33 to 1.37 with every endpoint switched
// on (pkg/kubelet/server/server.go).
func newKubelet() http.Handler {
	mux := http.NewServeMux()
	var services container
	serve := func(root string, routes ...[]route) {
		service := service{root: tokens(root)}
		for _, routes := range routes {
			for _, route := range routes {
				route.template = append(tokens(root), route.template...)
				service.routes = append(service.routes, route)
			}
		}
		services = append(services, service)
	}
	at := func(template string, handler handler, methods ...string) (routes []route) {
		for _, method := range methods {
			routes = append(routes, route{method, tokens(template), handler})
		}
		return routes
	}
	const (
		byPod       = "/{podNamespace}/{podID}"
		byContainer = byPod + "/{containerName}"
		byUID       = byPod + "/{uid}/{containerName}"
		get, post   = http.MethodGet, http.MethodPost
	)
	serve("/run", at(byContainer, run, post), at(byUID, run, post))
	serve("/exec", at(byContainer, exec, get, post), at(byUID, exec, get, post))
	serve("/attach", at(byContainer, attach, get, post), at(byUID, attach, get, post))
	serve("/portForward", at(byPod, portForward, get, post), at(byPod+"/{uid}", portForward, get, post))
	serve("/containerLogs", at(byContainer, containerLogs, get))
	serve("/checkpoint/", at(byContainer, checkpoint, post))
	serve("/pods", at("/", named("pods"), get))
	serve("/runningpods/", at("/", named("runningPods"), get))
	serve("/logs/", at("/", nodeLogs, get), at("/{logpath:*}", nodeLogs, get))
	serve("/stats/", at("/summary", stats, get, post))
	serve("/debug/pprof/", at("/{subpath:*}", pprof, get))
	// What has no slash at its end is registered with one, too.
	for _, root := range []string{"/run", "/exec", "/attach", "/portForward", "/containerLogs", "/pods"} {
		mux.Handle(root, services)
		mux.Handle(root+"/", services)
	}
	for _, root := range []string{"/checkpoint/", "/runningpods/", "/logs/", "/stats/", "/debug/pprof/"} {
		mux.Handle(root, services)
	}

	// These take any method.
	mux.Handle("/metrics", metrics("kubelet"))
	for _, source := range []string{"cadvisor", "resource", "probes", "slis"} {
		mux.Handle("/metrics/"+source, metrics(source))
	}
	mux.Handle("/healthz", handler(healthz))
	// Each check has a path of its own. Which there are is known when the kubelet runs.
	mux.HandleFunc("/healthz/", func(w http.ResponseWriter, request *http.Request) {
		check := strings.TrimPrefix(request.URL.Path, "/healthz/")
		if check == "" || strings.Contains(check, "/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		handler(healthz).serve(w, request, map[string]string{"check": check})
	})
	for _, page := range []string{"configz", "flagz", "statusz"} {
		mux.Handle("/"+page, named(page))
	}
	mux.HandleFunc("/debug/flags/v", func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPut {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		flags.serve(w, request, nil)
	})
	return mux
}

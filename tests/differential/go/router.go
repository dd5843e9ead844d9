package main

import (
	"net/http"
	"slices"
	"strings"
)

// A handler of the kubelet, as far as it reads its request: it fills in the document.
type handler func(request *http.Request, parameters map[string]string, document map[string]any) error

// A route of go-restful's: a method and a template, `{name}` for a token and `{name:*}` for the rest.
type route struct {
	method   string
	template []string
	handler  handler
}

// A service of go-restful's, at a root path.
type service struct {
	root   []string
	routes []route
}

// container is go-restful's (v3, with its CurlyRouter): it routes what the mux gave to any of its
// services by the decoded path alone, whichever pattern of the mux that came by.
type container []service

// tokens are what stands between slashes, the outer ones not counted: a `%2F` is decoded by now.
func tokens(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(strings.Trim(path, "/"), "/")
}

func (c container) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	path := tokens(request.URL.Path)
	var selected *service
	longest := -1
	for i := range c {
		root := c[i].root
		if len(root) > longest && len(root) <= len(path) && slices.Equal(root, path[:len(root)]) {
			selected, longest = &c[i], len(root)
		}
	}
	if selected == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	status := http.StatusNotFound
	for _, candidate := range selected.routes {
		parameters, ok := candidate.match(path)
		if !ok {
			continue
		}
		if candidate.method == request.Method {
			candidate.handler.serve(w, request, parameters)
			return
		}
		status = http.StatusMethodNotAllowed
	}
	w.WriteHeader(status)
}

// match binds the template's parameters. No two templates of a service match one path.
func (r route) match(path []string) (map[string]string, bool) {
	parameters := map[string]string{}
	for i, part := range r.template {
		name, isParameter := strings.CutPrefix(strings.TrimSuffix(part, "}"), "{")
		switch rest, isRest := strings.CutSuffix(name, ":*"); {
		case i >= len(path):
			return nil, false
		case isParameter && isRest:
			parameters[rest] = strings.Join(path[i:], "/")
			return parameters, true
		case isParameter:
			parameters[name] = path[i]
		case part != path[i]:
			return nil, false
		}
	}
	return parameters, len(path) == len(r.template)
}

func (h handler) serve(w http.ResponseWriter, request *http.Request, parameters map[string]string) {
	document := map[string]any{}
	if err := h(request, parameters, document); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		w.(*response).answer.Why = err.Error()
		return
	}
	complete(document, request)
	w.(*response).answer.Reading = document
}

func (h handler) ServeHTTP(w http.ResponseWriter, request *http.Request) { h.serve(w, request, nil) }

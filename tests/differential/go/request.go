package main

import (
	"errors"
	"net/http"
	"strings"
)

// complete adds what every endpoint has. What a request's headers say of an upgrade is there
// already, on the endpoints that read it.
func complete(document map[string]any, request *http.Request) {
	document["method"] = request.Method
	document["path"] = request.URL.Path
	query := request.URL.Query()
	if _, streams := document["upgrade"]; !streams {
		document["upgrade"] = nil
		document["protocols"] = []string{}
		if request.Method == http.MethodGet {
			delete(query, "timeout")
		}
	}
	document["query"] = query
	document["authorization"] = authorization(request)
	document["user_agent"] = nil
	if agents := request.Header["User-Agent"]; len(agents) > 0 {
		document["user_agent"] = agents[0]
	}
}

// authorization is pkg/kubelet/server/auth.go with KubeletFineGrainedAuthz.
func authorization(request *http.Request) map[string]any {
	verbs := map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
	below := func(base string) bool {
		return request.URL.Path == base || strings.HasPrefix(request.URL.Path, base+"/")
	}
	var subresources []string
	switch {
	case below("/pods"), below("/runningpods"):
		subresources = append(subresources, "pods")
	case below("/healthz"):
		subresources = append(subresources, "healthz")
	case below("/configz"):
		subresources = append(subresources, "configz")
	case below("/statusz"):
		subresources = append(subresources, "statusz")
	}
	switch {
	case below("/stats"):
		subresources = append(subresources, "stats")
	case below("/metrics"):
		subresources = append(subresources, "metrics")
	case below("/logs"):
		subresources = append(subresources, "log")
	case below("/checkpoint"):
		subresources = append(subresources, "checkpoint")
	default:
		subresources = append(subresources, "proxy")
	}
	return map[string]any{"verb": verbs[request.Method], "resource": "nodes", "subresources": subresources}
}

// isUpgrade and isWebSocket are k8s.io/apimachinery/pkg/util/httpstream and its wsstream.
func isUpgrade(request *http.Request) bool {
	for _, line := range request.Header["Connection"] {
		if strings.Contains(strings.ToLower(line), "upgrade") {
			return true
		}
	}
	return false
}

func isWebSocket(request *http.Request) bool {
	return isUpgrade(request) && strings.EqualFold(request.Header.Get("Upgrade"), "websocket")
}

func isTunnel(request *http.Request) bool {
	for _, protocol := range webSocketProtocols(request) {
		if isWebSocket(request) && strings.HasPrefix(protocol, "SPDY/3.1+") {
			return true
		}
	}
	return false
}

// webSocketProtocols are those of the first line, as golang.org/x/net/websocket takes them.
func webSocketProtocols(request *http.Request) []string {
	line := strings.TrimSpace(request.Header.Get("Sec-Websocket-Protocol"))
	protocols := []string{}
	if line != "" {
		for _, protocol := range strings.Split(line, ",") {
			protocols = append(protocols, strings.TrimSpace(protocol))
		}
	}
	return protocols
}

// upgrade reads which stream protocol is asked for, and its sub-protocols.
func upgrade(request *http.Request, document map[string]any) error {
	switch {
	case isWebSocket(request):
		// As its handshake has it.
		if request.Method != http.MethodGet || request.Header.Get("Sec-Websocket-Version") != "13" ||
			request.Header.Get("Sec-Websocket-Key") == "" ||
			!strings.Contains(strings.ToLower(request.Header.Get("Connection")), "upgrade") {
			return errors.New("no WebSocket handshake")
		}
		document["upgrade"] = "websocket"
		document["protocols"] = webSocketProtocols(request)
		return nil
	case isUpgrade(request) && strings.Contains(strings.ToLower(request.Header.Get("Upgrade")), "spdy/3.1"):
		protocols := []string{}
		for _, line := range request.Header["X-Stream-Protocol-Version"] {
			for _, protocol := range strings.Split(line, ",") {
				if protocol = strings.Trim(protocol, " "); protocol != "" {
					protocols = append(protocols, protocol)
				}
			}
		}
		if len(protocols) == 0 {
			return errors.New("no X-Stream-Protocol-Version")
		}
		document["upgrade"] = "spdy"
		document["protocols"] = protocols
		return nil
	}
	return errors.New("no upgrade")
}

// credentials are the headers by which Kubernetes authenticates a caller without its certificate,
// and whether one is a bearer token (k8s.io/apiserver/pkg/authentication/request/...).
func credentials(request *http.Request) (names []string, bearerToken bool) {
	for name := range request.Header {
		lower := strings.ToLower(name)
		if lower == "authorization" || strings.HasPrefix(lower, "impersonate-") || strings.HasPrefix(lower, "x-remote-") {
			names = append(names, lower)
		}
	}
	for _, line := range request.Header["Sec-Websocket-Protocol"] {
		for _, protocol := range strings.Split(line, ",") {
			if strings.HasPrefix(strings.TrimSpace(protocol), "base64url.bearer.authorization.k8s.io.") {
				names = append(names, "sec-websocket-protocol")
			}
		}
	}
	parts := strings.SplitN(strings.TrimSpace(request.Header.Get("Authorization")), " ", 3)
	return names, len(parts) > 1 && strings.EqualFold(parts[0], "bearer") && parts[1] != ""
}

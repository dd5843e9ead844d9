// Command differential reads requests as a kubelet reads them, and prints what it understood.
//
// Standard input has requests as they stand on the wire, each behind its length in four bytes, big
// endian. Standard output has one line for each, in order: an [answer] in JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
)

// answer is what becomes of one request. A Reading without a Status is what a handler of the
// kubelet would act on.
type answer struct {
	// Status is the kubelet's own refusal, or redirect.
	Status int `json:"status,omitempty"`
	// Why says more of it, for people.
	Why string `json:"why,omitempty"`
	// Reading is the input document of the schema gatelet/v1, as far as a request makes it.
	Reading map[string]any `json:"reading,omitempty"`
	// Credentials are the names of the header lines that would say who asks.
	Credentials []string `json:"credentials,omitempty"`
	// BearerToken is whether one of them is a bearer token.
	BearerToken bool `json:"bearer_token,omitempty"`
}

func main() {
	log.SetFlags(0)
	if err := serve(os.Stdin, os.Stdout); err != nil {
		log.Fatal("differential: ", err)
	}
}

func serve(in io.Reader, out io.Writer) error {
	kubelet := newKubelet()
	requests := bufio.NewReaderSize(in, 1<<16)
	lines := bufio.NewWriterSize(out, 1<<16)
	encoder := json.NewEncoder(lines)
	var length [4]byte
	for {
		if requests.Buffered() == 0 {
			if err := lines.Flush(); err != nil {
				return err
			}
		}
		if _, err := io.ReadFull(requests, length[:]); errors.Is(err, io.EOF) {
			return lines.Flush()
		} else if err != nil {
			return err
		}
		raw := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(requests, raw); err != nil {
			return err
		}
		if err := encoder.Encode(read(kubelet, raw)); err != nil {
			return err
		}
	}
}

// read gives the bytes of one request to the kubelet's handlers.
func read(kubelet http.Handler, raw []byte) *answer {
	connection := bufio.NewReader(bytes.NewReader(raw))
	request, err := http.ReadRequest(connection)
	if err != nil {
		return &answer{Status: http.StatusBadRequest, Why: err.Error()}
	}
	said := &answer{}
	kubelet.ServeHTTP(&response{answer: said}, request)
	said.Credentials, said.BearerToken = credentials(request)
	// What is left would be the connection's next request.
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		return &answer{Status: http.StatusBadRequest, Why: err.Error()}
	}
	if rest, _ := io.ReadAll(connection); len(rest) > 0 {
		return &answer{Status: http.StatusBadRequest, Why: "bytes behind the request"}
	}
	return said
}

// response takes the status of an answer that net/http gives by itself.
type response struct {
	answer *answer
	header http.Header
}

func (r *response) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

func (r *response) WriteHeader(status int) {
	r.answer.Status = status
	r.answer.Why = r.Header().Get("Location")
}

func (r *response) Write(body []byte) (int, error) { return len(body), nil }

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/klog/v2"
)

// says is what logs and forwarded ports answer, of every container and every port of every pod.
const says = "simulated by allot: no container runs here"

const (
	forwardIdleLimit   = 4 * time.Hour // as a kubelet's
	forwardStreamLimit = 30 * time.Second
	headerLimit        = 30 * time.Second
)

// serve is what the apiserver finds at the kubelets' port. It returns only with an error.
func serve(address, certificate, key string) error {
	paths := http.NewServeMux()
	paths.HandleFunc("GET /healthz", func(answer http.ResponseWriter, _ *http.Request) {
		write(answer, "ok")
	})
	paths.HandleFunc("GET /containerLogs/", func(answer http.ResponseWriter, _ *http.Request) {
		write(answer, says+"\n")
	})
	paths.HandleFunc("/portForward/{namespace}/{pod}", forwardPorts)
	paths.HandleFunc("/portForward/{namespace}/{pod}/{uid}", forwardPorts)
	paths.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		http.Error(answer, "simulated by allot: nothing runs here that could do this", http.StatusNotImplemented)
	})
	server := http.Server{Addr: address, Handler: paths, ReadHeaderTimeout: headerLimit}
	return server.ListenAndServeTLS(certificate, key)
}

func forwardPorts(answer http.ResponseWriter, request *http.Request) {
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(
		answer, request, everyPort{}, request.PathValue("pod"), request.PathValue("uid"), options,
		forwardIdleLimit, forwardStreamLimit, portforward.SupportedProtocols,
	)
}

// everyPort answers any request of HTTP with the truth.
type everyPort struct{}

func (everyPort) PortForward(_ context.Context, _, _ string, _ int32, stream io.ReadWriteCloser) error {
	request, err := http.ReadRequest(bufio.NewReader(stream))
	if err != nil {
		return fmt.Errorf("%s, and what was asked is no request of HTTP: %w", says, err)
	}
	answer := http.Response{
		StatusCode:    http.StatusOK,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Request:       request,
		Header:        http.Header{"Content-Type": {"text/plain"}},
		ContentLength: int64(len(says)),
		Body:          io.NopCloser(strings.NewReader(says)),
		Close:         true,
	}
	return answer.Write(stream)
}

func write(answer http.ResponseWriter, text string) {
	answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.WriteString(answer, text); err != nil {
		klog.ErrorS(err, "An answer did not arrive")
	}
}

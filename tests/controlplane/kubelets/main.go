// Kubelets stands in for the kubelets of all simulated nodes of a cluster at once, for tests and for `allot dev
// cluster`: real etcd, apiserver, controllers and scheduler, and no container anywhere.
//
// It looks after the nodes that say simulated.allot.dev/node: "true", and leaves every other alone. Pods on them
// start, run, end and are removed as their annotations tell (behaviour.go; docs/devcluster.md is what people read);
// what the apiserver asks of a kubelet, logs and forwarded ports, is answered with one line that says what this is
// (server.go). For the StorageClass "simulated" it is the provisioner, too (volumes.go).
//
// Everything that must outlive this program stands in the pods themselves, so that it can be killed and begun again.
package main

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	podWorkers   = 16
	otherWorkers = 4
)

// writeLimit bounds one request that writes.
const writeLimit = 30 * time.Second

type options struct {
	kubeconfig  string
	address     string
	certificate string
	key         string
	podRange    string
}

func main() {
	var given options
	flag.StringVar(&given.kubeconfig, "kubeconfig", "", "how to reach the apiserver")
	flag.StringVar(&given.address, "address", "", "host:port at which the kubelets' server listens")
	flag.StringVar(&given.certificate, "tls-cert-file", "", "the server's certificate")
	flag.StringVar(&given.key, "tls-private-key-file", "", "the certificate's key")
	flag.StringVar(&given.podRange, "pod-range", "", "where pods' addresses come from, as 10.244.0.0/16")
	flag.Parse()
	if err := run(context.Background(), given); err != nil {
		klog.ErrorS(err, "The simulated kubelets end")
		klog.Flush()
		os.Exit(1)
	}
}

// run returns only with an error: it ends when it is killed.
func run(ctx context.Context, given options) error {
	client, err := connect(given.kubeconfig)
	if err != nil {
		return err
	}
	podRange, err := netip.ParsePrefix(given.podRange)
	if err != nil {
		return err
	}
	nodes := newNodes(client)
	volumes := newVolumes(client)
	pods := newPods(client, nodes, newAddresses(podRange))
	informers := []cache.SharedIndexInformer{nodes.informer, pods.informer, volumes.claims, volumes.volumes}
	for _, informer := range informers {
		if err := informer.SetTransform(withoutManagedFields); err != nil {
			return err
		}
	}
	if err := errors.Join(nodes.watch(), volumes.watch(), pods.watch()); err != nil {
		return err
	}
	for _, informer := range informers {
		go informer.RunWithContext(ctx)
	}
	for _, informer := range informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return ctx.Err()
		}
	}
	nodes.loop.run(ctx, otherWorkers)
	volumes.loop.run(ctx, otherWorkers)
	pods.run(ctx)
	return serve(given.address, given.certificate, given.key)
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config = rest.AddUserAgent(config, "allot-simulated-kubelets")
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.ContentType = runtime.ContentTypeProtobuf
	// No limit of our own: the workers are the limit.
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

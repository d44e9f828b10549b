package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// byNode is the index of pods by the node that they are bound to.
const byNode = "node"

// pods takes every pod on our nodes from step to step. A pod on a node that is not there (yet, or any more) is left
// as it is: nobody runs it.
type pods struct {
	client    kubernetes.Interface
	informer  cache.SharedIndexInformer
	nodes     *nodes
	addresses *addresses
	loop      *loop
}

func newPods(client kubernetes.Interface, nodes *nodes, addresses *addresses) *pods {
	bound := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	}
	indexers := cache.Indexers{byNode: func(object any) ([]string, error) {
		return []string{object.(*v1.Pod).Spec.NodeName}, nil
	}}
	found := &pods{
		client:    client,
		informer:  coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, indexers, bound),
		nodes:     nodes,
		addresses: addresses,
	}
	found.loop = newLoop("pod", found.do)
	return found
}

// watch follows pods, and nodes: what is bound to one that becomes ours is looked at again.
func (p *pods) watch() error {
	p.nodes.onArrival = func(name string) {
		bound, err := p.informer.GetIndexer().ByIndex(byNode, name)
		if err != nil {
			panic(err) // there is no such index
		}
		for _, pod := range bound {
			p.loop.add(pod)
		}
	}
	_, err := p.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			// One was removed and another of its name made while nobody watched.
			if gone := before.(*v1.Pod).UID; gone != after.(*v1.Pod).UID {
				p.addresses.free(gone)
			}
		},
		DeleteFunc: func(object any) {
			if last, isLast := object.(cache.DeletedFinalStateUnknown); isLast {
				object = last.Obj
			}
			p.addresses.free(object.(*v1.Pod).UID)
		},
	})
	if err != nil {
		return err
	}
	return p.loop.watches(p.informer)
}

// run begins where an earlier run of this program ended: pods keep the addresses that they have.
func (p *pods) run(ctx context.Context) {
	for _, pod := range p.informer.GetStore().List() {
		p.addresses.keep(pod.(*v1.Pod))
	}
	p.loop.run(ctx, podWorkers)
}

func (p *pods) do(ctx context.Context, key string) error {
	object, isThere, err := p.informer.GetIndexer().GetByKey(key)
	if err != nil || !isThere {
		return err
	}
	pod := object.(*v1.Pod)
	host, isOurs := p.nodes.hostOf(pod.Spec.NodeName)
	due, at := nextStep(pod)
	if !isOurs || due == nothing {
		return nil
	}
	if wait := time.Until(at); wait > 0 {
		p.loop.queue.AddAfter(key, wait)
		return nil
	}
	return p.take(ctx, due, pod, host, metav1.NewTime(time.Now().Truncate(time.Millisecond)))
}

func (p *pods) take(ctx context.Context, due step, pod *v1.Pod, host string, now metav1.Time) error {
	switch due {
	case accept:
		return p.write(ctx, pod, accepted(pod, host, now))
	case start:
		address, err := p.addresses.of(pod, host)
		if err != nil {
			return err
		}
		return p.write(ctx, pod, started(pod, host, address, now))
	case complete:
		return p.write(ctx, pod, ended(pod, codeOfEnd(pod), now))
	case terminate:
		if pod.Status.Phase == v1.PodPending {
			return p.write(ctx, pod, neverStarted(pod, now))
		}
		_, code := terminates(pod)
		return p.write(ctx, pod, ended(pod, code, now))
	case remove:
		return p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64),
			Preconditions:      &metav1.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion},
		})
	}
	return fmt.Errorf("no step: %d", due)
}

// write sends what differs, as a kubelet does: what others wrote into the status stays. It is refused as a conflict
// where the pod is no longer the one that was looked at. So a step that the watch does not show yet, or whose answer
// was lost, is never taken again at another instant, and a start is never overtaken by an end that knows nothing of
// it.
func (p *pods) write(ctx context.Context, pod *v1.Pod, status *v1.PodStatus) error {
	before := v1.Pod{Status: pod.Status}
	after := v1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		Status:     *status,
	}
	patch, err := difference(before, after)
	if err != nil {
		return err
	}
	_, err = p.client.CoreV1().Pods(pod.Namespace).Patch(
		ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status",
	)
	return err
}

// difference is the strategic merge patch from one object to another of its kind.
func difference[T any](before, after T) ([]byte, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	wanted, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(old, wanted, before)
}

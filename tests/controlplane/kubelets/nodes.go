package main

import (
	"context"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// What a node's annotations say: that it is one of ours, and that it is to fail.
const (
	simulatedNode = "simulated.allot.dev/node"
	notReadyNode  = "simulated.allot.dev/not-ready"
	isTrue        = "true"
)

// nodes follows the annotation that breaks a node. They are registered ready by whoever makes them, and send no
// heartbeats: the controller-manager is told not to expect any.
type nodes struct {
	client    kubernetes.Interface
	informer  cache.SharedIndexInformer
	loop      *loop
	onArrival func(name string) // a node became ours
}

func newNodes(client kubernetes.Interface) *nodes {
	found := &nodes{client: client, informer: coreinformers.NewNodeInformer(client, 0, cache.Indexers{})}
	found.loop = newLoop("node", found.do)
	return found
}

func (n *nodes) watch() error {
	_, err := n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			n.onArrival(object.(*v1.Node).Name)
		},
		UpdateFunc: func(before, object any) {
			if node := object.(*v1.Node); isOurs(node) && !isOurs(before.(*v1.Node)) {
				n.onArrival(node.Name)
			}
		},
	})
	if err != nil {
		return err
	}
	return n.loop.watches(n.informer)
}

// hostOf is the address of a node of ours, and whether it is one.
func (n *nodes) hostOf(name string) (string, bool) {
	node := n.named(name)
	if node == nil || !isOurs(node) {
		return "", false
	}
	for _, address := range node.Status.Addresses {
		if address.Type == v1.NodeInternalIP {
			return address.Address, true
		}
	}
	return "127.0.0.1", true
}

func (n *nodes) named(name string) *v1.Node {
	object, isThere, err := n.informer.GetIndexer().GetByKey(name)
	if err != nil || !isThere {
		return nil
	}
	return object.(*v1.Node)
}

func isOurs(node *v1.Node) bool {
	return node.Annotations[simulatedNode] == isTrue
}

func (n *nodes) do(ctx context.Context, name string) error {
	node := n.named(name)
	if node == nil || !isOurs(node) {
		return nil
	}
	wanted := v1.NodeCondition{
		Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", Message: "simulated by allot",
	}
	if node.Annotations[notReadyNode] == isTrue {
		wanted.Status, wanted.Reason, wanted.Message = v1.ConditionFalse, "KubeletNotReady", "simulated, told to fail"
	}
	isReady := func(condition v1.NodeCondition) bool { return condition.Type == v1.NodeReady }
	place := slices.IndexFunc(node.Status.Conditions, isReady)
	if place >= 0 && node.Status.Conditions[place].Status == wanted.Status {
		return nil
	}
	wanted.LastHeartbeatTime = metav1.Now()
	wanted.LastTransitionTime = wanted.LastHeartbeatTime
	after := node.DeepCopy()
	after.Status.Conditions = append(slices.DeleteFunc(after.Status.Conditions, isReady), wanted)
	patch, err := difference(*node, *after)
	if err != nil {
		return err
	}
	_, err = n.client.CoreV1().Nodes().Patch(
		ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status",
	)
	return err
}

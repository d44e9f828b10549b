package main

import (
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// A step is what a kubelet does with a pod: one write.
type step int

const (
	nothing   step = iota
	accept         // seen, and its image is pulled: only where that is to take time, or never to end
	start          // its containers run
	complete       // they ended by themselves
	terminate      // they ended because the pod is deleted
	remove         // nothing of it is left on the node
)

var atOnce time.Time

// nextStep says what is due for the pod, and when. Each instant is reckoned from one that the pod itself carries,
// never from now, so that it stays the same however often and by whomever it is asked.
func nextStep(pod *v1.Pod) (step, time.Time) {
	switch phase := pod.Status.Phase; {
	case pod.DeletionTimestamp != nil && (phase == v1.PodSucceeded || phase == v1.PodFailed):
		return removal(pod)
	case pod.DeletionTimestamp != nil && (phase == v1.PodPending || phase == v1.PodRunning):
		return termination(pod)
	case phase == v1.PodPending:
		return beginning(pod)
	case phase == v1.PodRunning:
		if length, ends := runs(pod); ends {
			return complete, startOf(pod).Add(length)
		}
	}
	return nothing, atOnce
}

func beginning(pod *v1.Pod) (step, time.Time) {
	isAccepted := pod.Status.StartTime != nil
	if isDelayed(pod) && !isAccepted {
		return accept, atOnce
	}
	if told := pod.Annotations[hang]; told == hangStart || told == hangImage {
		return nothing, atOnce
	}
	if isAccepted {
		return start, pod.Status.StartTime.Add(annotated(pod, startDelaySeconds))
	}
	return start, atOnce
}

// termination is SIGTERM at the deletion and SIGKILL at the end of the grace, which deletionTimestamp is. As a
// kubelet does, the status first says how the containers ended, and only then is the pod removed.
func termination(pod *v1.Pod) (step, time.Time) {
	if pod.Annotations[hang] == hangTermination {
		return nothing, atOnce
	}
	if pod.Status.Phase == v1.PodPending {
		return terminate, atOnce
	}
	asked := pod.DeletionTimestamp.Time
	if pod.DeletionGracePeriodSeconds != nil {
		asked = asked.Add(-time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
	}
	length, _ := terminates(pod)
	return terminate, asked.Add(length)
}

// removal: a grace of 0 means that this was done. What remains waits for a finalizer, the Job controller's mostly.
func removal(pod *v1.Pod) (step, time.Time) {
	if grace := pod.DeletionGracePeriodSeconds; grace != nil && *grace == 0 {
		return nothing, atOnce
	}
	return remove, atOnce
}

// startOf is the exact start, in milliseconds, at the end of containerID. Kubernetes' own stamps are whole seconds:
// by them a run could end before it has lasted as long as it was told to.
func startOf(pod *v1.Pod) time.Time {
	for _, container := range pod.Status.ContainerStatuses {
		id := container.ContainerID
		if milliseconds, err := strconv.ParseInt(id[strings.LastIndex(id, "/")+1:], 10, 64); err == nil {
			return time.UnixMilli(milliseconds)
		}
	}
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	return pod.CreationTimestamp.Time
}

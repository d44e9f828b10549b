package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// accepted is the status of a pod whose containers wait.
func accepted(pod *v1.Pod, host string, now metav1.Time) *v1.PodStatus {
	status := placed(pod, host, now)
	status.Phase = v1.PodPending
	condition(status, v1.PodReadyToStartContainers, v1.ConditionFalse, "", now)
	condition(status, v1.PodInitialized, v1.ConditionTrue, "", now)
	notReady(status, "ContainersNotReady", now)
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		waiting := v1.ContainerStateWaiting{Reason: "ContainerCreating"}
		if pod.Annotations[hang] == hangImage {
			waiting.Reason = "ImagePullBackOff"
			waiting.Message = fmt.Sprintf("Back-off pulling image %q: simulated, told to fail", container.Image)
		}
		found := containerOf(container, "")
		found.State.Waiting = &waiting
		status.ContainerStatuses = append(status.ContainerStatuses, found)
	}
	return status
}

// started is the status of a pod whose containers run from now on.
func started(pod *v1.Pod, host, address string, now metav1.Time) *v1.PodStatus {
	status := placed(pod, host, now)
	status.Phase = v1.PodRunning
	status.PodIP = address
	status.PodIPs = []v1.PodIP{{IP: address}}
	condition(status, v1.PodReadyToStartContainers, v1.ConditionTrue, "", now)
	condition(status, v1.PodInitialized, v1.ConditionTrue, "", now)
	condition(status, v1.PodReady, v1.ConditionTrue, "", now)
	condition(status, v1.ContainersReady, v1.ConditionTrue, "", now)
	for _, gate := range pod.Spec.ReadinessGates {
		condition(status, gate.ConditionType, v1.ConditionTrue, "", now)
	}
	id := fmt.Sprintf("simulated://%s/%d", pod.UID, now.UnixMilli())
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, running(container, id, now))
	}
	status.InitContainerStatuses = nil
	for _, container := range pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, initialized(container, id, now))
	}
	return status
}

// ended is the status of a pod whose containers ran until now.
func ended(pod *v1.Pod, code int32, now metav1.Time) *v1.PodStatus {
	status := pod.Status.DeepCopy()
	reason := over(status, code == 0, now)
	for i := range status.ContainerStatuses {
		container := &status.ContainerStatuses[i]
		end := v1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, FinishedAt: now, ContainerID: container.ContainerID,
		}
		if container.State.Running != nil {
			end.StartedAt = container.State.Running.StartedAt
		}
		container.Ready, container.Started = false, new(bool)
		container.State = v1.ContainerState{Terminated: &end}
	}
	return status
}

// neverStarted is the status of a pod that was deleted before its containers ran.
func neverStarted(pod *v1.Pod, now metav1.Time) *v1.PodStatus {
	status := pod.Status.DeepCopy()
	over(status, false, now)
	status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		found := containerOf(container, "")
		found.State.Terminated = &v1.ContainerStateTerminated{
			ExitCode: killed,
			Reason:   "ContainerStatusUnknown",
			Message:  "The container could not be located when the pod was terminated",
		}
		status.ContainerStatuses = append(status.ContainerStatuses, found)
	}
	return status
}

func placed(pod *v1.Pod, host string, now metav1.Time) *v1.PodStatus {
	status := pod.Status.DeepCopy()
	status.HostIP = host
	status.HostIPs = []v1.HostIP{{IP: host}}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	return status
}

// over sets the phase and conditions of an end, and returns the reason that its containers give.
func over(status *v1.PodStatus, isSuccess bool, now metav1.Time) string {
	condition(status, v1.PodReadyToStartContainers, v1.ConditionFalse, "", now)
	if isSuccess {
		status.Phase = v1.PodSucceeded
		notReady(status, "PodCompleted", now)
		return "Completed"
	}
	status.Phase = v1.PodFailed
	notReady(status, "PodFailed", now)
	return "Error"
}

func notReady(status *v1.PodStatus, reason string, now metav1.Time) {
	condition(status, v1.PodReady, v1.ConditionFalse, reason, now)
	condition(status, v1.ContainersReady, v1.ConditionFalse, reason, now)
}

// condition sets one; it keeps the instant of one that says the same already.
func condition(
	status *v1.PodStatus, kind v1.PodConditionType, value v1.ConditionStatus, reason string, now metav1.Time,
) {
	wanted := v1.PodCondition{Type: kind, Status: value, Reason: reason, LastTransitionTime: now}
	for i, found := range status.Conditions {
		if found.Type != kind {
			continue
		}
		if found.Status == value {
			wanted.LastTransitionTime = found.LastTransitionTime
		}
		status.Conditions[i] = wanted
		return
	}
	status.Conditions = append(status.Conditions, wanted)
}

func containerOf(container v1.Container, id string) v1.ContainerStatus {
	return v1.ContainerStatus{Name: container.Name, Image: container.Image, ContainerID: id, Started: new(bool)}
}

func running(container v1.Container, id string, now metav1.Time) v1.ContainerStatus {
	found := containerOf(container, id)
	isStarted := true
	found.Ready, found.Started = true, &isStarted
	found.State.Running = &v1.ContainerStateRunning{StartedAt: now}
	return found
}

// initialized is an init container's status: one that is to go on beside the others runs, any other is done.
func initialized(container v1.Container, id string, now metav1.Time) v1.ContainerStatus {
	if policy := container.RestartPolicy; policy != nil && *policy == v1.ContainerRestartPolicyAlways {
		return running(container, id, now)
	}
	found := containerOf(container, id)
	found.Ready = true
	found.State.Terminated = &v1.ContainerStateTerminated{
		Reason: "Completed", StartedAt: now, FinishedAt: now, ContainerID: id,
	}
	return found
}

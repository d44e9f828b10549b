package main

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// What a pod's annotations tell it; docs/devcluster.md lists them.
const (
	runSeconds          = "simulated.allot.dev/run-seconds"
	exitCode            = "simulated.allot.dev/exit-code"
	startDelaySeconds   = "simulated.allot.dev/start-delay-seconds"
	terminationSeconds  = "simulated.allot.dev/termination-seconds"
	terminationExitCode = "simulated.allot.dev/termination-exit-code"
	killSeconds         = "simulated.allot.dev/kill-seconds"
	hang                = "simulated.allot.dev/hang"
)

// The values of hang.
const (
	hangStart       = "start"
	hangImage       = "image"
	hangTermination = "termination"
)

// Exit codes of whoever ends on SIGTERM, and of whoever is killed.
const (
	terminated int32 = 143
	killed     int32 = 137
)

// longest keeps sums of durations within what Go can count: thirty years.
const longest = 1e9

// A command that sleeps runs as long as it says, and may say how it ends.
var (
	sleeps = regexp.MustCompile(`^(?:sh -c )?sleep ([0-9.]+)(?:; exit [0-9]+)?$`)
	exits  = regexp.MustCompile(`^sh -c sleep [0-9.]+; exit ([0-9]+)$`)
)

// runs says for how long the pod runs by itself; without an annotation or a command that says so, or with a number
// that is none, it runs until it is told to stop.
func runs(pod *v1.Pod) (time.Duration, bool) {
	said, isSaid := pod.Annotations[runSeconds]
	if !isSaid {
		said = firstMatch(sleeps, command(pod))
		if said == "" {
			return 0, false
		}
	}
	return seconds(pod, said)
}

// codeOfEnd is the exit code of a run that ends by itself.
func codeOfEnd(pod *v1.Pod) int32 {
	ofCommand := code(pod, firstMatch(exits, command(pod)), 0)
	return code(pod, pod.Annotations[exitCode], ofCommand)
}

// isDelayed says whether something lies between the pod's binding and its start.
func isDelayed(pod *v1.Pod) bool {
	_, isSlow := pod.Annotations[startDelaySeconds]
	_, hangs := pod.Annotations[hang]
	return isSlow || hangs
}

// terminates says how long after it was told to stop the pod ends, and with which code: within its grace, or killed
// at the end of it.
func terminates(pod *v1.Pod) (time.Duration, int32) {
	var grace time.Duration
	if pod.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	if wanted := annotated(pod, terminationSeconds); wanted <= grace {
		return wanted, code(pod, pod.Annotations[terminationExitCode], terminated)
	}
	return grace + annotated(pod, killSeconds), killed
}

func command(pod *v1.Pod) string {
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return strings.Join(pod.Spec.Containers[0].Command, " ")
}

func firstMatch(pattern *regexp.Regexp, text string) string {
	if found := pattern.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// annotated is an annotation that counts seconds, and 0 without it.
func annotated(pod *v1.Pod, name string) time.Duration {
	said, isSaid := pod.Annotations[name]
	if !isSaid {
		return 0
	}
	found, _ := seconds(pod, said)
	return found
}

// seconds reads a number that may have a fraction, rounded up to milliseconds.
func seconds(pod *v1.Pod, said string) (time.Duration, bool) {
	number, err := strconv.ParseFloat(said, 64)
	if err != nil || math.IsNaN(number) {
		klog.InfoS("No number of seconds, and passed over", "pod", klog.KObj(pod), "said", said)
		return 0, false
	}
	number = max(-longest, min(longest, number))
	return time.Duration(math.Ceil(number*1000)) * time.Millisecond, true
}

func code(pod *v1.Pod, said string, otherwise int32) int32 {
	if said == "" {
		return otherwise
	}
	number, err := strconv.ParseInt(said, 10, 32)
	if err != nil {
		klog.InfoS("No exit code, and passed over", "pod", klog.KObj(pod), "said", said)
		return otherwise
	}
	return int32(number)
}

package main

import (
	"fmt"
	"net/netip"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// addresses hands out pods' addresses, each to one pod at a time.
type addresses struct {
	within netip.Prefix

	mutex  sync.Mutex
	last   netip.Addr
	owners map[netip.Addr]types.UID
	given  map[types.UID]netip.Addr
}

func newAddresses(within netip.Prefix) *addresses {
	return &addresses{
		within: within.Masked(),
		last:   within.Masked().Addr(),
		owners: map[netip.Addr]types.UID{},
		given:  map[types.UID]netip.Addr{},
	}
}

// of is the pod's address: its node's, where it shares that network.
func (a *addresses) of(pod *v1.Pod, host string) (string, error) {
	if pod.Spec.HostNetwork {
		return host, nil
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if known, isGiven := a.given[pod.UID]; isGiven {
		return known.String(), nil
	}
	// Onwards from the last, so that one that was freed rests for long: whoever still calls it reaches nobody.
	for next := a.last.Next(); next != a.last; next = next.Next() {
		if !a.within.Contains(next) {
			next = a.within.Addr() // the network itself: nobody's
			if next == a.last {
				break
			}
			continue
		}
		if _, isTaken := a.owners[next]; !isTaken {
			a.last = next
			a.put(next, pod.UID)
			return next.String(), nil
		}
	}
	return "", fmt.Errorf("every address of %s is given to a pod", a.within)
}

// keep notes the address that a pod has already: given before this program began.
func (a *addresses) keep(pod *v1.Pod) {
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil || !a.within.Contains(address) {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if _, isTaken := a.owners[address]; !isTaken {
		a.put(address, pod.UID)
	}
}

func (a *addresses) free(uid types.UID) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if address, isGiven := a.given[uid]; isGiven {
		delete(a.owners, address)
		delete(a.given, uid)
	}
}

func (a *addresses) put(address netip.Addr, uid types.UID) {
	a.owners[address] = uid
	a.given[uid] = address
}

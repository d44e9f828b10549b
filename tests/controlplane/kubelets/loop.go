package main

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// What is refused or does not arrive is tried again after the first of these, then twice as long up to the other.
const (
	retryFirst = 20 * time.Millisecond
	retryMost  = time.Second
)

// A loop brings the names of what changed to a function that does what is due, one worker at a time per name. The
// function is told a name, not what happened, and may come for nothing.
type loop struct {
	of    string
	queue workqueue.TypedRateLimitingInterface[string]
	do    func(ctx context.Context, key string) error
}

func newLoop(of string, do func(ctx context.Context, key string) error) *loop {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](retryFirst, retryMost)
	return &loop{of: of, queue: workqueue.NewTypedRateLimitingQueue(limiter), do: do}
}

// watches puts the name of whatever the informer sees into the queue.
func (l *loop) watches(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    l.add,
		UpdateFunc: func(_, object any) { l.add(object) },
		DeleteFunc: l.add,
	})
	return err
}

func (l *loop) add(object any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		klog.ErrorS(err, "What the watch brought has no name", "of", l.of)
		return
	}
	l.queue.Add(key)
}

func (l *loop) run(ctx context.Context, workers int) {
	for range workers {
		go func() {
			for l.next(ctx) {
			}
		}()
	}
}

func (l *loop) next(ctx context.Context) bool {
	key, isOver := l.queue.Get()
	if isOver {
		return false
	}
	defer l.queue.Done(key)
	limited, done := context.WithTimeout(ctx, writeLimit)
	defer done()
	switch err := l.do(limited, key); {
	case err == nil:
		l.queue.Forget(key)
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		klog.V(1).InfoS("Changed or gone meanwhile, and looked at again", "of", l.of, "key", key)
		l.queue.AddRateLimited(key)
	default:
		klog.ErrorS(err, "Refused, and tried again", "of", l.of, "key", key)
		l.queue.AddRateLimited(key)
	}
	return true
}

// withoutManagedFields saves memory: nobody here reads them.
func withoutManagedFields(object any) (any, error) {
	if found, err := meta.Accessor(object); err == nil {
		found.SetManagedFields(nil)
	}
	return object, nil
}

package main

import (
	"context"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// provisioner is the name by which the StorageClass "simulated" asks for us.
const provisioner = "simulated.allot.dev/volume"

// Where Kubernetes writes who is to provision a claim's volume, and we, who did.
const (
	provisionedBy      = "pv.kubernetes.io/provisioned-by"
	storageProvisioner = "volume.kubernetes.io/storage-provisioner"
)

// volumes is an external provisioner: a volume that holds nothing for each claim, removed with it. Binding is the
// controller-manager's work, as everywhere. Claims have a namespace in their names, volumes have none.
type volumes struct {
	client  kubernetes.Interface
	claims  cache.SharedIndexInformer
	volumes cache.SharedIndexInformer
	loop    *loop
}

func newVolumes(client kubernetes.Interface) *volumes {
	found := &volumes{
		client:  client,
		claims:  coreinformers.NewPersistentVolumeClaimInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}),
		volumes: coreinformers.NewPersistentVolumeInformer(client, 0, cache.Indexers{}),
	}
	found.loop = newLoop("volume", found.do)
	return found
}

func (v *volumes) watch() error {
	if err := v.loop.watches(v.claims); err != nil {
		return err
	}
	return v.loop.watches(v.volumes)
}

func (v *volumes) do(ctx context.Context, key string) error {
	if strings.Contains(key, "/") {
		return v.provision(ctx, key)
	}
	return v.reclaim(ctx, key)
}

func (v *volumes) provision(ctx context.Context, key string) error {
	object, isThere, err := v.claims.GetIndexer().GetByKey(key)
	if err != nil || !isThere {
		return err
	}
	claim := object.(*v1.PersistentVolumeClaim)
	isAsked := claim.Annotations[storageProvisioner] == provisioner
	if !isAsked || claim.DeletionTimestamp != nil || claim.Spec.VolumeName != "" {
		return nil
	}
	_, err = v.client.CoreV1().PersistentVolumes().Create(ctx, volumeFor(claim), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // by us, before the watch showed it
	}
	return err
}

func (v *volumes) reclaim(ctx context.Context, name string) error {
	object, isThere, err := v.volumes.GetIndexer().GetByKey(name)
	if err != nil || !isThere {
		return err
	}
	volume := object.(*v1.PersistentVolume)
	isOver := volume.Status.Phase == v1.VolumeReleased && volume.DeletionTimestamp == nil
	if !isOver || volume.Annotations[provisionedBy] != provisioner {
		return nil
	}
	return v.client.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{})
}

func volumeFor(claim *v1.PersistentVolumeClaim) *v1.PersistentVolume {
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "pvc-" + string(claim.UID),
			Annotations: map[string]string{provisionedBy: provisioner},
		},
		Spec: v1.PersistentVolumeSpec{
			AccessModes: claim.Spec.AccessModes,
			Capacity: v1.ResourceList{
				v1.ResourceStorage: claim.Spec.Resources.Requests[v1.ResourceStorage],
			},
			PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimDelete,
			VolumeMode:                    claim.Spec.VolumeMode,
			ClaimRef: &v1.ObjectReference{
				APIVersion: "v1",
				Kind:       "PersistentVolumeClaim",
				Namespace:  claim.Namespace,
				Name:       claim.Name,
				UID:        claim.UID,
			},
			PersistentVolumeSource: v1.PersistentVolumeSource{
				HostPath: &v1.HostPathVolumeSource{Path: "/run/simulated/" + string(claim.UID)},
			},
		},
	}
	if claim.Spec.StorageClassName != nil {
		volume.Spec.StorageClassName = *claim.Spec.StorageClassName
	}
	return volume
}

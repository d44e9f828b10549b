/* Hopper's profiling metrics, whole or per MIG instance, and the event set that Xids arrive on. */
#include "call.h"

#include <stdlib.h>
#include <time.h>

enum { GPM_SPACING_US = 100000 };

struct gpm_sample { struct part part; int64_t at_us; int64_t sm, occupancy, tensor, dram; };

static void take(struct gpm_sample *sample, const struct call *call, struct part part)
{
    *sample = (struct gpm_sample){.part = part, .at_us = call->now_us};
    for (int i = 0; i < call->machine->job_count; i++) {
        const struct job *job = &call->machine->jobs[i];
        if (!job_is_in(job, part))
            continue;
        int64_t busy_us = job_busy_us(job, call->now_us);
        sample->sm += busy_us * job->sm_permille;
        sample->occupancy += busy_us * job->occupancy_permille;
        sample->tensor += busy_us * job->tensor_permille;
        sample->dram += busy_us * job->dram_permille;
    }
}

EXPORT nvml_return nvmlGpmQueryDeviceSupport(nvml_handle device, nvml_gpm_support *support)
{
    struct call call = enter(__func__, device);
    if (call.result == NVML_SUCCESS)
        support->is_supported = (unsigned)call.gpu->has_gpm;
    return call.result;
}

EXPORT nvml_return nvmlGpmSampleAlloc(void **sample)
{
    struct call call = enter(__func__, NULL);
    if (call.result == NVML_SUCCESS)
        *sample = calloc(1, sizeof(struct gpm_sample));
    return call.result;
}

EXPORT nvml_return nvmlGpmSampleFree(void *sample)
{
    free(sample);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlGpmSampleGet(nvml_handle device, void *sample)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (!call.gpu->has_gpm)
        return NVML_NOT_SUPPORTED;
    take(sample, &call, call.part);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlGpmMigSampleGet(nvml_handle device, unsigned gpu_instance, void *sample)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (!call.gpu->has_gpm || call.mig != NULL)
        return NVML_NOT_SUPPORTED;
    take(sample, &call, (struct part){call.part.gpu, (int)gpu_instance});
    return NVML_SUCCESS;
}

static void put_metric(nvml_gpm_metric *metric, const struct gpm_sample *first, const struct gpm_sample *second)
{
    int64_t elapsed_us = second->at_us - first->at_us, busy;
    metric->result = NVML_SUCCESS;
    switch (metric->metric) {
    case NVML_GPM_SM_UTIL: busy = second->sm - first->sm; break;
    case NVML_GPM_SM_OCCUPANCY: busy = second->occupancy - first->occupancy; break;
    case NVML_GPM_ANY_TENSOR: busy = second->tensor - first->tensor; break;
    case NVML_GPM_DRAM_BW: busy = second->dram - first->dram; break;
    default: metric->result = NVML_NOT_SUPPORTED; return;
    }
    if (elapsed_us < GPM_SPACING_US)
        metric->result = NVML_NO_DATA;
    else
        metric->value = (double)busy / (double)elapsed_us / 10.0;
}

EXPORT nvml_return nvmlGpmMetricsGet(nvml_gpm_metrics *metrics)
{
    struct call call = enter(__func__, NULL);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (metrics->version != 1)
        return NVML_VERSION_MISMATCH;
    for (unsigned i = 0; i < metrics->count; i++)
        put_metric(&metrics->metrics[i], metrics->first, metrics->second);
    return NVML_SUCCESS;
}

struct event_set { int is_registered[MAX_GPUS]; int64_t seen_us; int seen_index; };

EXPORT nvml_return nvmlEventSetCreate(void **set)
{
    struct call call = enter(__func__, NULL);
    struct event_set *created = calloc(1, sizeof *created);
    if (call.result != NVML_SUCCESS || created == NULL) {
        free(created);
        return call.result;
    }
    created->seen_us = call.now_us;
    created->seen_index = MAX_EVENTS;
    *set = created;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlEventSetFree(void *set)
{
    free(set);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceRegisterEvents(nvml_handle device, uint64_t types, void *set)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (types != NVML_EVENT_XID || call.mig != NULL)
        return NVML_NOT_SUPPORTED;
    ((struct event_set *)set)->is_registered[call.part.gpu] = 1;
    return NVML_SUCCESS;
}

static int is_after(int64_t at_us, int index, int64_t than_us, int than_index)
{
    return at_us > than_us || (at_us == than_us && index > than_index);
}

/* The index of the earliest event after the last one handed out, by instant and then by place; ANY for none. */
static int next_event(const struct call *call, const struct event_set *set)
{
    int next = ANY;
    for (int i = 0; i < call->machine->event_count; i++) {
        const struct event *event = &call->machine->events[i];
        if (set->is_registered[event->gpu] && event->at_us <= call->now_us &&
            is_after(event->at_us, i, set->seen_us, set->seen_index) &&
            (next == ANY || event->at_us < call->machine->events[next].at_us))
            next = i;
    }
    return next;
}

EXPORT nvml_return nvmlEventSetWait_v2(void *handle, nvml_event *into, unsigned timeout_ms)
{
    struct event_set *set = handle;
    struct timespec pause = {0, 1000000};
    for (unsigned waited_ms = 0;; waited_ms++) {
        struct call call = enter(__func__, NULL);
        if (call.result != NVML_SUCCESS)
            return call.result;
        int next = next_event(&call, set);
        if (next != ANY) {
            const struct event *event = &call.machine->events[next];
            set->seen_us = event->at_us;
            set->seen_index = next;
            *into = (nvml_event){gpu_handle(event->gpu), event->type, event->data, (unsigned)event->gpu_instance,
                                 (unsigned)event->compute_instance};
            return NVML_SUCCESS;
        }
        if (waited_ms >= timeout_ms)
            return NVML_TIMEOUT;
        nanosleep(&pause, NULL);
    }
}

/* Who is on a device: running processes, and the ring of process samples, of which each remembers one PID. */
#include "call.h"

#include <string.h>

static nvml_return put_processes(struct call call, enum process_kind kind, unsigned *count, char *into)
{
    unsigned due = 0, stride;
    if (call.result != NVML_SUCCESS)
        return call.result;
    stride = (unsigned)call.gpu->process_struct_bytes;
    for (int i = 0; i < call.machine->job_count; i++) {
        const struct job *job = &call.machine->jobs[i];
        if (job->kind != (int)kind || job->pid <= 0 || !job->is_listed || !job_is_in(job, call.part) ||
            !job_is_resident(job, call.now_us))
            continue;
        if (into != NULL && due < *count) {
            nvml_process_535 process = {(unsigned)job->pid, (uint64_t)job->memory_bytes, NVML_NO_INSTANCE,
                                        NVML_NO_INSTANCE, 0};
            if (job->gpu_instance != ANY) {
                process.gpu_instance = (unsigned)job->gpu_instance;
                process.compute_instance = (unsigned)job->compute_instance;
            }
            memcpy(into + (size_t)due * stride, &process, stride);
        }
        due++;
    }
    nvml_return result = due > 0 && (into == NULL || *count < due) ? NVML_INSUFFICIENT_SIZE : NVML_SUCCESS;
    *count = due;
    return result;
}

EXPORT nvml_return nvmlDeviceGetComputeRunningProcesses_v3(nvml_handle device, unsigned *count, nvml_process *into)
{
    return put_processes(enter(__func__, device), COMPUTE, count, (char *)into);
}

EXPORT nvml_return nvmlDeviceGetGraphicsRunningProcesses_v3(nvml_handle device, unsigned *count, nvml_process *into)
{
    return put_processes(enter(__func__, device), GRAPHICS, count, (char *)into);
}

EXPORT nvml_return nvmlDeviceGetMPSComputeRunningProcesses_v3(nvml_handle device, unsigned *count,
                                                              nvml_process *into)
{
    return put_processes(enter(__func__, device), MPS, count, (char *)into);
}

struct seen { int pid; int64_t time_us, percent_total; int samples; };

/* Which of the jobs that ran in this sample it remembers: one PID, in turn. */
static const struct job *remembered(const struct call *call, int64_t sample, int *percent)
{
    const struct job *running[MAX_JOBS];
    int count = 0;
    for (int i = 0; i < call->machine->job_count; i++) {
        const struct job *job = &call->machine->jobs[i];
        if (job->pid > 0 && job->gpu == call->part.gpu &&
            job_busy_us(job, sample * SAMPLE_US) > job_busy_us(job, (sample - 1) * SAMPLE_US))
            running[count++] = job;
    }
    if (count == 0)
        return NULL;
    const struct job *job = running[sample % count];
    int64_t busy_us = job_busy_us(job, sample * SAMPLE_US) - job_busy_us(job, (sample - 1) * SAMPLE_US);
    *percent = (int)((100 * busy_us + SAMPLE_US - 1) / SAMPLE_US);
    return job;
}

static int gather(const struct call *call, uint64_t last_seen_us, struct seen *seen)
{
    int count = 0, percent = 0;
    int64_t newest = call->now_us / SAMPLE_US;
    for (int64_t sample = newest - PROCESS_RING + 1; sample <= newest; sample++) {
        const struct job *job = NULL;
        int slot = 0;
        if (sample * SAMPLE_US > (int64_t)last_seen_us)
            job = remembered(call, sample, &percent);
        if (job == NULL)
            continue;
        while (slot < count && seen[slot].pid != job->pid)
            slot++;
        if (slot == count)
            seen[count++] = (struct seen){.pid = job->pid};
        seen[slot].time_us = sample * SAMPLE_US;
        seen[slot].percent_total += percent;
        seen[slot].samples++;
    }
    return count;
}

EXPORT nvml_return nvmlDeviceGetProcessUtilization(nvml_handle device, nvml_process_utilization *into,
                                                   unsigned *count, uint64_t last_seen_us)
{
    struct seen seen[PROCESS_RING];
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL || call.gpu->mig_count > 0)
        return NVML_NOT_SUPPORTED;
    unsigned due = (unsigned)gather(&call, last_seen_us, seen);
    if (due == 0)
        return NVML_NOT_FOUND;
    if (into == NULL || *count < due) {
        *count = due;
        return NVML_INSUFFICIENT_SIZE;
    }
    for (unsigned i = 0; i < due; i++)
        into[i] = (nvml_process_utilization){.pid = (unsigned)seen[i].pid,
                                             .time_us = (uint64_t)seen[i].time_us,
                                             .sm = (unsigned)(seen[i].percent_total / seen[i].samples)};
    *count = due;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetProcessesUtilizationInfo(nvml_handle device, nvml_processes_utilization *into)
{
    struct seen seen[PROCESS_RING];
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (into->version != NVML_PROCESSES_UTILIZATION_V1_VERSION)
        return NVML_VERSION_MISMATCH;
    if (call.mig != NULL || call.gpu->mig_count > 0)
        return NVML_NOT_SUPPORTED;
    unsigned due = (unsigned)gather(&call, into->last_seen_us, seen);
    if (due == 0)
        return NVML_NOT_FOUND;
    if (into->entries == NULL || into->count < due) {
        into->count = due;
        return NVML_INSUFFICIENT_SIZE;
    }
    for (unsigned i = 0; i < due; i++)
        into->entries[i] = (nvml_process_utilization_info){.pid = (unsigned)seen[i].pid,
                                                           .time_us = (uint64_t)seen[i].time_us,
                                                           .sm = (unsigned)(seen[i].percent_total / seen[i].samples)};
    into->count = due;
    return NVML_SUCCESS;
}

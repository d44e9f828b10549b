/* What a device does: gauges, the energy counter, buffered samples. */
#include "call.h"

#include <string.h>

static int64_t total_bytes(const struct call *call)
{
    return call->mig != NULL ? call->mig->memory_bytes : call->gpu->memory_bytes;
}

static int64_t reserved_bytes(const struct call *call)
{
    return call->mig != NULL ? 0 : call->gpu->reserved_bytes;
}

/* A MIG instance, and a GPU that is cut into some, has neither utilisation nor process samples. */
static int has_utilization(const struct call *call)
{
    return call->mig == NULL && call->gpu->mig_count == 0;
}

EXPORT nvml_return nvmlDeviceGetUtilizationRates(nvml_handle device, nvml_utilization *rates)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (!has_utilization(&call))
        return NVML_NOT_SUPPORTED;
    rates->gpu = (unsigned)utilization_percent(call.machine, call.part.gpu, call.now_us - call.now_us % SAMPLE_US);
    rates->memory = rates->gpu / 4;
    return NVML_SUCCESS;
}

/* The first version counts what the driver reserves as used. */
EXPORT nvml_return nvmlDeviceGetMemoryInfo(nvml_handle device, nvml_memory *memory)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    memory->total = (uint64_t)total_bytes(&call);
    memory->used = (uint64_t)(memory_used_bytes(call.machine, call.part, call.now_us) + reserved_bytes(&call));
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMemoryInfo_v2(nvml_handle device, nvml_memory_v2 *memory)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (memory->version != NVML_MEMORY_V2_VERSION || !call.gpu->has_memory_v2)
        return NVML_VERSION_MISMATCH;
    memory->total = (uint64_t)total_bytes(&call);
    memory->reserved = (uint64_t)reserved_bytes(&call);
    memory->used = (uint64_t)memory_used_bytes(call.machine, call.part, call.now_us);
    memory->free = memory->total - memory->reserved - memory->used;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetPowerUsage(nvml_handle device, unsigned *milliwatts)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL)
        return NVML_NOT_SUPPORTED;
    *milliwatts = (unsigned)power_mw(call.machine, call.part.gpu, call.now_us);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTotalEnergyConsumption(nvml_handle device, uint64_t *millijoules)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL || !call.gpu->has_energy)
        return NVML_NOT_SUPPORTED;
    *millijoules = (uint64_t)energy_mj(call.machine, call.part.gpu, call.now_us);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCurrentClocksEventReasons(nvml_handle device, uint64_t *reasons)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL)
        return NVML_NOT_SUPPORTED;
    int64_t sample_us = call.now_us - call.now_us % SAMPLE_US;
    *reasons = utilization_percent(call.machine, call.part.gpu, sample_us) == 0 ? NVML_CLOCKS_IDLE : 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTotalEccErrors(nvml_handle device, unsigned kind, unsigned counter, uint64_t *count)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (kind > 1 || counter > 1)
        return NVML_INVALID_ARGUMENT;
    *count = kind == 1 ? (uint64_t)ecc_uncorrected(call.machine, call.part.gpu, call.now_us) : 0;
    return NVML_SUCCESS;
}

/* Success if any field succeeded: each carries its own result. */
EXPORT nvml_return nvmlDeviceGetFieldValues(nvml_handle device, int count, nvml_field_value *values)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    for (int i = 0; i < count; i++) {
        int is_power = values[i].field == NVML_FIELD_POWER_AVERAGE || values[i].field == NVML_FIELD_POWER_INSTANT;
        values[i].time_us = call.now_us;
        values[i].type = NVML_VALUE_UINT;
        values[i].result = is_power && call.mig == NULL ? NVML_SUCCESS : NVML_NOT_SUPPORTED;
        if (values[i].result == NVML_SUCCESS)
            values[i].value.uint = (unsigned)power_mw(call.machine, call.part.gpu, call.now_us);
    }
    return NVML_SUCCESS;
}

/* The buffered samples newer than a stamp. Without a buffer it says how many there are, and that is a success. */
EXPORT nvml_return nvmlDeviceGetSamples(nvml_handle device, unsigned kind, uint64_t last_seen_us, unsigned *type,
                                        unsigned *count, nvml_sample *samples)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (kind != NVML_SAMPLES_GPU_UTILIZATION || !has_utilization(&call))
        return NVML_NOT_SUPPORTED;
    int64_t newest = call.now_us / SAMPLE_US, oldest = newest - UTILIZATION_RING + 1;
    if (oldest * SAMPLE_US < call.machine->booted_us)
        oldest = call.machine->booted_us / SAMPLE_US + 1;
    if ((int64_t)last_seen_us >= oldest * SAMPLE_US)
        oldest = (int64_t)last_seen_us / SAMPLE_US + 1;
    if (oldest > newest)
        return NVML_NOT_FOUND;
    unsigned due = (unsigned)(newest - oldest + 1);
    *type = NVML_VALUE_UINT;
    if (samples != NULL) {
        if (*count < due)
            due = *count;
        for (unsigned i = 0; i < due; i++) {
            samples[i].time_us = (uint64_t)((oldest + i) * SAMPLE_US);
            samples[i].value.ulong = 0;
            samples[i].value.uint =
                (unsigned)utilization_percent(call.machine, call.part.gpu, (oldest + i) * SAMPLE_US);
        }
    }
    *count = due;
    return NVML_SUCCESS;
}

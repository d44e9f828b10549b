/* What is there: the driver, the GPUs, their MIG instances. */
#include "call.h"

#include <stdio.h>
#include <string.h>

static nvml_return put_text(char *into, unsigned size, const char *text)
{
    if (strlen(text) >= size)
        return NVML_INSUFFICIENT_SIZE;
    memcpy(into, text, strlen(text) + 1);
    return NVML_SUCCESS;
}

EXPORT const char *nvmlErrorString(nvml_return result)
{
    static __thread char text[32];
    snprintf(text, sizeof text, "fake error %d", result);
    return text;
}

EXPORT nvml_return nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    struct call call = enter(__func__, NULL);
    return call.result != NVML_SUCCESS ? call.result : put_text(version, size, call.machine->driver);
}

EXPORT nvml_return nvmlSystemGetNVMLVersion(char *version, unsigned size)
{
    struct call call = enter(__func__, NULL);
    return call.result != NVML_SUCCESS ? call.result : put_text(version, size, call.machine->nvml);
}

EXPORT nvml_return nvmlDeviceGetCount_v2(unsigned *count)
{
    struct call call = enter(__func__, NULL);
    if (call.result == NVML_SUCCESS)
        *count = (unsigned)call.machine->gpu_count;
    return call.result;
}

EXPORT nvml_return nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_handle *device)
{
    if (index >= MAX_GPUS)
        return NVML_INVALID_ARGUMENT;
    struct call call = enter(__func__, gpu_handle((int)index));
    if (call.result == NVML_SUCCESS)
        *device = gpu_handle((int)index);
    return call.result;
}

EXPORT nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvml_handle *device)
{
    struct call call = enter(__func__, NULL);
    if (call.result != NVML_SUCCESS)
        return call.result;
    for (int gpu = 0; gpu < call.machine->gpu_count; gpu++) {
        *device = gpu_handle(gpu);
        if (strcmp(call.machine->gpus[gpu].uuid, uuid) == 0)
            return enter(__func__, *device).result;
        for (int slot = 0; slot < call.machine->gpus[gpu].mig_count; slot++) {
            *device = mig_handle(gpu, slot);
            if (strcmp(call.machine->gpus[gpu].migs[slot].uuid, uuid) == 0)
                return enter(__func__, *device).result;
        }
    }
    return NVML_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetUUID(nvml_handle device, char *uuid, unsigned size)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    return put_text(uuid, size, call.mig != NULL ? call.mig->uuid : call.gpu->uuid);
}

EXPORT nvml_return nvmlDeviceGetName(nvml_handle device, char *name, unsigned size)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    return put_text(name, size, call.mig != NULL ? call.mig->name : call.gpu->name);
}

EXPORT nvml_return nvmlDeviceGetMinorNumber(nvml_handle device, unsigned *minor)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL)
        return NVML_NOT_SUPPORTED;
    *minor = (unsigned)call.gpu->minor;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetPciInfo_v3(nvml_handle device, nvml_pci *pci)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    memset(pci, 0, sizeof *pci);
    sscanf(call.gpu->bus, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    return put_text(pci->bus_id, sizeof pci->bus_id, call.gpu->bus);
}

EXPORT nvml_return nvmlDeviceGetArchitecture(nvml_handle device, unsigned *architecture)
{
    struct call call = enter(__func__, device);
    if (call.result == NVML_SUCCESS)
        *architecture = (unsigned)call.gpu->architecture;
    return call.result;
}

EXPORT nvml_return nvmlDeviceGetMigMode(nvml_handle device, unsigned *current, unsigned *pending)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL || call.gpu->architecture < 7)
        return NVML_NOT_SUPPORTED;
    *current = *pending = call.gpu->mig_count > 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMaxMigDeviceCount(nvml_handle device, unsigned *count)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    *count = call.gpu->architecture < 7 ? 0 : MAX_MIGS;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMigDeviceHandleByIndex(nvml_handle device, unsigned index, nvml_handle *mig)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig != NULL)
        return NVML_INVALID_ARGUMENT;
    for (int slot = 0; slot < call.gpu->mig_count; slot++)
        if (call.gpu->migs[slot].index == (int)index) {
            *mig = mig_handle(call.part.gpu, slot);
            return NVML_SUCCESS;
        }
    return NVML_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvml_handle mig, nvml_handle *device)
{
    struct call call = enter(__func__, mig);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig == NULL)
        return NVML_INVALID_ARGUMENT;
    *device = gpu_handle(call.part.gpu);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceIsMigDeviceHandle(nvml_handle device, unsigned *is_mig)
{
    struct call call = enter(__func__, device);
    if (call.result == NVML_SUCCESS)
        *is_mig = call.mig != NULL;
    return call.result;
}

static nvml_return put_instance(struct call call, unsigned *into, int id)
{
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig == NULL)
        return NVML_NOT_SUPPORTED;
    *into = (unsigned)id;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetGpuInstanceId(nvml_handle device, unsigned *id)
{
    struct call call = enter(__func__, device);
    return put_instance(call, id, call.mig == NULL ? 0 : call.mig->gpu_instance);
}

EXPORT nvml_return nvmlDeviceGetComputeInstanceId(nvml_handle device, unsigned *id)
{
    struct call call = enter(__func__, device);
    return put_instance(call, id, call.mig == NULL ? 0 : call.mig->compute_instance);
}

EXPORT nvml_return nvmlDeviceGetAttributes_v2(nvml_handle device, nvml_attributes *attributes)
{
    struct call call = enter(__func__, device);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (call.mig == NULL)
        return NVML_NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->gpu_slices = attributes->compute_slices = (unsigned)call.mig->slices;
    attributes->memory_mebibytes = (uint64_t)call.mig->memory_bytes >> 20;
    return NVML_SUCCESS;
}

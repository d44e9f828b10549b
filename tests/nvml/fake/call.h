/* What every exported function begins with: which machine, what time it is there, which device, and whether the
 * script lets the call through. */
#ifndef ALLOT_CALL_H
#define ALLOT_CALL_H

#include "machine.h"
#include "nvml_abi.h"

#define EXPORT __attribute__((visibility("default")))

struct call {
    nvml_return result;
    const struct machine *machine;
    const struct gpu *gpu;
    const struct mig *mig; /* NULL for a whole GPU */
    struct part part;
    int64_t now_us;
};

/* A call that is about no device passes NULL; a device that is not there any more is an invalid argument. */
struct call enter(const char *function, nvml_handle device);

nvml_handle gpu_handle(int gpu);
nvml_handle mig_handle(int gpu, int slot);

#endif

/* The binary interface of libnvidia-ml.so.1 as far as nvidia-ml-py 13 calls it, on x86-64 and arm64 Linux.
 * Written from the layouts that the bindings declare (tests/nvml/test_fake_abi.py holds the two together);
 * sizes are asserted here, so that a compiler that lays them out otherwise refuses to build. */
#ifndef ALLOT_NVML_ABI_H
#define ALLOT_NVML_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef int nvml_return;
typedef void *nvml_handle;

enum {
    NVML_SUCCESS = 0,
    NVML_UNINITIALIZED = 1,
    NVML_INVALID_ARGUMENT = 2,
    NVML_NOT_SUPPORTED = 3,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_TIMEOUT = 10,
    NVML_NO_DATA = 21,
    NVML_VERSION_MISMATCH = 25,
};

enum { NVML_MEMORY_V2_VERSION = 0x02000028, NVML_PROCESSES_UTILIZATION_V1_VERSION = 0x01000018 };
enum { NVML_SAMPLES_TOTAL_POWER = 0, NVML_SAMPLES_GPU_UTILIZATION = 1 };
enum { NVML_VALUE_UINT = 1 };
enum { NVML_FIELD_POWER_AVERAGE = 185, NVML_FIELD_POWER_INSTANT = 186 };
enum { NVML_EVENT_XID = 8 };
enum { NVML_CLOCKS_IDLE = 1 };
enum { NVML_GPM_SM_UTIL = 2, NVML_GPM_SM_OCCUPANCY = 3, NVML_GPM_ANY_TENSOR = 5, NVML_GPM_DRAM_BW = 10 };
#define NVML_NO_INSTANCE 0xFFFFFFFFu

typedef struct { unsigned gpu, memory; } nvml_utilization;

typedef struct { uint64_t total, free, used; } nvml_memory;

typedef struct { unsigned version; uint64_t total, reserved, free, used; } nvml_memory_v2;

typedef struct {
    unsigned pid;
    uint64_t time_us;
    unsigned sm, memory, encoder, decoder;
} nvml_process_utilization;

typedef struct {
    uint64_t time_us;
    unsigned pid, sm, memory, encoder, decoder, jpeg, ofa;
} nvml_process_utilization_info;

typedef struct {
    unsigned version, count;
    uint64_t last_seen_us;
    nvml_process_utilization_info *entries;
} nvml_processes_utilization;

typedef struct { unsigned pid; uint64_t used_bytes; unsigned gpu_instance, compute_instance; } nvml_process;

/* Drivers 535.43 to 535.86 wrote this longer one under the same symbol (nvitop#89). */
typedef struct {
    unsigned pid;
    uint64_t used_bytes;
    unsigned gpu_instance, compute_instance;
    uint64_t protected_bytes;
} nvml_process_535;

typedef union { double real; unsigned uint; uint64_t ulong; } nvml_value;

typedef struct { uint64_t time_us; nvml_value value; } nvml_sample;

typedef struct {
    uint32_t field, scope;
    int64_t time_us, latency_us;
    unsigned type;
    nvml_return result;
    nvml_value value;
} nvml_field_value;

typedef struct {
    nvml_handle device;
    uint64_t type, data;
    unsigned gpu_instance, compute_instance;
} nvml_event;

typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    uint64_t memory_mebibytes;
} nvml_attributes;

typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device, pci_subsystem;
    char bus_id[32];
} nvml_pci;

typedef struct {
    unsigned metric;
    nvml_return result;
    double value;
    const char *short_name, *long_name, *unit;
} nvml_gpm_metric;

/* The array's declared length differs by version of the bindings: only `count` entries may be touched. */
typedef struct {
    unsigned version, count;
    void *first, *second;
    nvml_gpm_metric metrics[];
} nvml_gpm_metrics;

typedef struct { unsigned version, is_supported; } nvml_gpm_support;

_Static_assert(sizeof(nvml_utilization) == 8, "nvmlUtilization_t");
_Static_assert(sizeof(nvml_memory) == 24, "nvmlMemory_t");
_Static_assert(sizeof(nvml_memory_v2) == 40, "nvmlMemory_v2_t");
_Static_assert(sizeof(nvml_process_utilization) == 32, "nvmlProcessUtilizationSample_t");
_Static_assert(offsetof(nvml_process_utilization, time_us) == 8, "timeStamp");
_Static_assert(offsetof(nvml_process_utilization, sm) == 16, "smUtil");
_Static_assert(sizeof(nvml_process_utilization_info) == 40, "nvmlProcessUtilizationInfo_v1_t");
_Static_assert(offsetof(nvml_process_utilization_info, pid) == 8, "pid");
_Static_assert(sizeof(nvml_processes_utilization) == 24, "nvmlProcessesUtilizationInfo_v1_t");
_Static_assert(sizeof(nvml_process) == 24, "nvmlProcessInfo_v2_t");
_Static_assert(offsetof(nvml_process, gpu_instance) == 16, "gpuInstanceId");
_Static_assert(sizeof(nvml_process_535) == 32, "nvmlProcessInfo_v3_t of driver 535.43");
_Static_assert(sizeof(nvml_value) == 8, "nvmlValue_t");
_Static_assert(sizeof(nvml_sample) == 16, "nvmlSample_t");
_Static_assert(sizeof(nvml_field_value) == 40, "nvmlFieldValue_t");
_Static_assert(offsetof(nvml_field_value, result) == 28, "nvmlReturn");
_Static_assert(sizeof(nvml_event) == 32, "nvmlEventData_t");
_Static_assert(sizeof(nvml_attributes) == 40, "nvmlDeviceAttributes_t");
_Static_assert(sizeof(nvml_pci) == 68, "nvmlPciInfo_t");
_Static_assert(sizeof(nvml_gpm_metric) == 40, "nvmlGpmMetric_t");
_Static_assert(sizeof(nvml_gpm_metrics) == 24, "nvmlGpmMetricsGet_t without its array");
_Static_assert(sizeof(nvml_gpm_support) == 8, "nvmlGpmSupport_t");

#endif
